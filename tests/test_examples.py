"""The examples run as they stand, against a server, and say what they promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http as triton

from augserve.wire import read_npy
from factories import make_file
from serving import Live, run_server, shipped_pipelines

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
HEAD_LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    pipelines = shipped_pipelines(tmp_path_factory.mktemp("pipelines"), "imagenet_eval", "imagenet_train")
    with run_server(grpc_port=0, pipelines=pipelines) as live:
        yield live


def run_example(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_listed_with_what_it_is() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert not [path.name for path in EXAMPLES.glob("*.py") if f"[`{path.name}`]({path.name})" not in listed]


def test_the_stock_client_gets_the_same_floats_both_ways(live: Live, tmp_path: Path) -> None:
    for i, format in enumerate(("JPEG", "PNG")):
        (tmp_path / f"{i}.img").write_bytes(make_file(format, (60 + i, 80)))
    host, port = live.address
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    told = run_example("triton_client.py", "--http", f"{host}:{port}", "--grpc", live.grpc_url, *files).splitlines()
    assert [line.partition(", mean")[0] for line in told[:2]] == [
        "tritonclient.http: float32 [2, 3, 224, 224], labels [0, 1]",
        "tritonclient.grpc: float32 [2, 3, 224, 224], labels [0, 1]",
    ]
    assert told[2] == "the same"


def over_http(live: Live, file: bytes) -> npt.NDArray[Any]:
    headers = {"accept": "application/x-npy"}
    return read_npy(httpx.post(f"{live.url}/v1/augment/imagenet_eval", content=file, headers=headers).content)


class Predictor(BaseHTTPRequestHandler):
    """A model whose score is the mean of each image, over the protocol, as far as the transformer needs it."""

    def do_GET(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers[HEAD_LENGTH])
        head = json.loads(body[:length])
        (tensor,) = head["inputs"]
        if self.path != "/v2/models/mean/infer" or tensor["name"] != "input":
            self._answer(404, b'{"error": "no such model or input"}')
            return
        images = np.frombuffer(body[length:], "<f4").reshape(tensor["shape"])
        scores = images.reshape(len(images), -1).mean(1, dtype=np.float32)
        output = {"name": "score", "shape": [len(scores)], "datatype": "FP32", "data": scores.tolist()}
        self._answer(200, json.dumps({"model_name": "mean", "id": head.get("id", ""), "outputs": [output]}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def predictor() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Predictor) as server:
        Thread(target=server.serve_forever, name="predictor").start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def transformer(*arguments: str) -> Iterator[str]:
    """The example as a process of its own, and its address."""
    command = [sys.executable, str(EXAMPLES / "kserve_transformer.py"), "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "running on" in line)
            yield re.findall(r"http://[\d.:]+", line)[0]
        finally:
            process.terminate()


def test_the_transformer_turns_images_into_the_predictors_tensor(live: Live, predictor: str) -> None:
    files = [make_file("JPEG", (60, 80)), make_file("PNG", (90, 70))]
    images = triton.InferInput("IMAGE", [2], "BYTES")
    images.set_data_from_numpy(np.array(files, dtype=object))
    with transformer("--augserve", live.url, "--predictor", predictor) as url:
        assert httpx.get(f"{url}/v2/health/ready", timeout=30).status_code == 200
        with triton.InferenceServerClient(url.removeprefix("http://")) as client:
            result = client.infer("mean", [images], request_id="mine")
        unknown = httpx.post(f"{url}/v2/models/other/infer", json={"inputs": []}, timeout=30)
    expected = [over_http(live, file).mean(dtype=np.float32) for file in files]
    assert result.get_response()["id"] == "mine"
    np.testing.assert_allclose(result.as_numpy("score"), expected, rtol=1e-5)
    assert unknown.status_code == 400
    assert "error" in unknown.json()
