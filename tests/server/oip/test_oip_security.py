"""What must never leave the server under /v2 either: other clients' pixels, metadata, and how the server is made."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from pydantic import SecretStr

import augserve_pipelines.executor as engine_executor
import tritons
from factories import encode_picture, make_file, make_picture
from serving import Live, run_server, server_process

SECRET = "/srv/secret/key.pem token=hunter2"
TOKEN = "fleet-0123456789abcdef0123456789abcdef"
ONE_IMAGE = {"content": make_file("PNG", (30, 40)), "headers": {"Inference-Header-Content-Length": "0"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tritons.write_pipelines(tmp_path_factory.mktemp("pipelines"))
    return made


@pytest.fixture(scope="module")
def live(folder: Path) -> Iterator[Live]:
    with run_server(pipelines=folder) as server:
        yield server


STAGES = {
    "tensors": ("augserve_server.oip.inference.read_inputs", "ragged/infer", ONE_IMAGE),
    "options": ("augserve_server.oip.inference.read_options", "ragged/infer", ONE_IMAGE),
    "the engine": ("augserve_server.engine.Engine.run", "ragged/infer", ONE_IMAGE),
    "decoding": ("augserve_server.decoding.decode", "ragged/infer", ONE_IMAGE),
    "running": ("augserve_server.work.OverImages.run", "ragged/infer", ONE_IMAGE),
    "packing": ("augserve_server.oip.outputs.Packing.pack", "ragged/infer", ONE_IMAGE),
    "inflating": (
        "augserve_server.routes.oip.bodies.inflate",
        "ragged/infer",
        {"content": gzip.compress(b"{}"), "headers": {"Content-Encoding": "gzip"}},
    ),
    "metadata": ("augserve_server.oip.metadata._inputs", "ragged", None),
    "configuration": ("augserve_server.oip.metadata._config_input", "ragged/config", None),
    "statistics": ("augserve_server.oip.statistics._spent", "stats", None),
}


@pytest.mark.parametrize(("place", "path", "sent"), STAGES.values(), ids=STAGES)
def test_a_mistake_of_ours_tells_a_client_nothing(
    live: Live,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    path: str,
    sent: dict[str, Any] | None,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(place, fail)
    url = f"{live.url}/v2/models/{path}"
    answer = httpx.get(url) if sent is None else httpx.post(url, **sent)
    assert answer.status_code == 500
    assert next(iter(answer.json())) == "error"
    assert "the server made a mistake; its log has the details under this request id" in answer.json()["error"]
    seen = f"{answer.text} {answer.headers}"
    assert not re.search(r"secret|hunter2|Traceback|RuntimeError|\.py|site-packages|/srv", seen)
    assert answer.headers["cache-control"] == "no-store"
    assert SECRET in caplog.text


# Other clients' pixels.

FILES = [
    make_file("PNG", (60, 80)),
    make_file("JPEG", (50, 50))[:900],
    make_file("PNG", (301, 41), name="coffee"),
    b"no image",
    make_file("WEBP", (33, 200), name="rocket"),
]


def everything(url: str) -> list[bytes]:
    """The bytes of every output of requests whose results differ in size, and of which some fail."""
    found = []
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        for name in ("train", "ragged", "crop"):
            for on_error in ("skip", "fill"):
                parameters = {"seed": 7, "on_error": on_error, "views": 2}
                for asked in (["PIXELS", "SHAPES", "STATUS"], ["ENCODED", "STATUS"]):
                    outputs = [triton.InferRequestedOutput(output) for output in asked]
                    inputs = [tritons.strings("IMAGE", FILES)]
                    result = client.infer(name, inputs, parameters=parameters, outputs=outputs)
                    arrays = [result.as_numpy(output) for output in asked]
                    found += [
                        repr((a.shape, a.tolist() if a.dtype == object else a.tobytes())).encode() for a in arrays
                    ]
    return found


@pytest.fixture(scope="module")
def untouched(live: Live) -> list[bytes]:
    return everything(live.url)


def test_memory_that_is_used_again_never_shows(live: Live, untouched: list[bytes]) -> None:
    pool = engine_executor._results()
    for poison in (0xA5, 0x00):
        assert pool.free >= 0  # which takes back what was lent
        for slab in pool._free:
            slab[:] = poison
        assert everything(live.url) == untouched


def test_memory_that_is_not_yet_written_never_shows(
    monkeypatch: pytest.MonkeyPatch, untouched: list[bytes], folder: Path
) -> None:
    monkeypatch.setenv("MALLOC_PERTURB_", "165")  # glibc fills all it hands out, and all it takes back
    with server_process("--pipelines", str(folder)) as (_, url):
        assert everything(url) == untouched


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_encoded_outputs_say_nothing_of_where_a_picture_was_taken(live: Live, format: str) -> None:
    exif = Image.Exif()
    exif[0x8298] = "SECRETOWNER"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0)})
    data = encode_picture(make_picture("china", (60, 80)), "JPEG", exif=exif, comment=b"SECRETCOMMENT")
    with triton.InferenceServerClient(live.url.removeprefix("http://")) as client:
        asked = [triton.InferRequestedOutput("ENCODED")]
        result = client.infer(
            "ragged", [tritons.strings("IMAGE", [data])], parameters={"format": format}, outputs=asked
        )
    (encoded,) = result.as_numpy("ENCODED")
    assert b"SECRET" not in encoded
    with Image.open(BytesIO(encoded)) as image:
        assert not image.getexif()


def test_a_result_with_too_long_a_side_fails_alone(folder: Path) -> None:
    files = [make_file("PNG", (20, 101)), make_file("PNG", (20, 100))]
    parameters = {"on_error": "skip"}
    with (
        run_server(pipelines=folder, max_output_side=100) as live,
        triton.InferenceServerClient(live.url.removeprefix("http://")) as client,
    ):
        result = client.infer("ragged", [tritons.strings("IMAGE", files)], parameters=parameters)
    assert result.as_numpy("STATUS").tolist() == [422, 0]
    assert result.as_numpy("PIXELS").shape == (1, 3, 20, 100)


# Who may do what.


def test_a_stock_client_says_its_token_in_a_header(folder: Path) -> None:
    tokens = SecretStr(f"[{{name: fleet, token: {TOKEN}, scopes: [infer]}}]")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with (
        run_server(pipelines=folder, tokens=tokens, repository_control=True) as live,
        triton.InferenceServerClient(live.url.removeprefix("http://")) as client,
    ):
        assert client.is_server_live()
        assert client.is_server_ready()
        with pytest.raises(triton.InferenceServerException, match="a bearer token is needed"):
            client.infer("train", [tritons.strings("IMAGE", FILES[:1])])
        result = client.infer("train", [tritons.strings("IMAGE", FILES[:1])], headers=bearer)
        assert np.isfinite(result.as_numpy("PIXELS")).all()
        for refused in (client.get_server_metadata, client.get_model_repository_index, client.get_log_settings):
            with pytest.raises(triton.InferenceServerException, match="scope 'read'"):
                refused(headers=bearer)
        for refused in (client.load_model, client.unload_model):
            with pytest.raises(triton.InferenceServerException, match="scope 'admin'"):
                refused("train", headers=bearer)
        with pytest.raises(triton.InferenceServerException, match="scope 'shm'"):
            client.get_system_shared_memory_status(headers=bearer)
        answer = httpx.post(f"{live.url}/v2/models/train/infer", content=b"{")
    assert (answer.status_code, next(iter(json.loads(answer.content)))) == (401, "error")
