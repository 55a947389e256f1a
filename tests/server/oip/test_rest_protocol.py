"""Everything under /v2 but inference, as stock clients ask for it; and what is refused, always as {"error": ...}."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

from augserve.wire import FINGERPRINT_HEADER
from augserve_server.routes.oip.bodies import FREE_BYTES, inflate
from factories import make_file
from serving import Live, busy_device, run_server, until
from tritons import PIPELINES, outputs, refused, strings, tensor

SETTINGS = {"repository_control": True, "compress_responses": True, "max_body_bytes": 2 << 20}
FILE = make_file("PNG", (60, 80))
STATISTICS = {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"}

Stock = triton.InferenceServerClient


@pytest.fixture
def log_level() -> Iterator[None]:
    before = logging.root.level
    yield
    logging.root.setLevel(before)


def raw(body: bytes, head: int | None = None, **headers: str) -> dict[str, Any]:
    length = {} if head is None else {"Inference-Header-Content-Length": str(head)}
    return {"content": body, "headers": {**length, **headers}}


def error_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    words: str = response.json()["error"]
    return words


def test_the_server_says_what_it_is(client: Stock) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "augserve"
    assert set(metadata["extensions"]) == {
        "binary_tensor_data",
        "parameters",
        "model_configuration",
        "statistics",
        "schedule_policy",
        "model_repository",
        "logging",
    }


@pytest.mark.parametrize("version", ["", "1"])
def test_a_pipeline_says_what_it_takes_and_gives(client: Stock, version: str) -> None:
    assert client.is_model_ready("train", version)
    metadata = client.get_model_metadata("train", version)
    assert (metadata["name"], metadata["versions"]) == ("train", ["1"])
    inputs = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["inputs"]}
    given = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["outputs"]}
    assert inputs["IMAGE"] == ("BYTES", [-1, 1])
    assert inputs["IMAGE_RAW"] == ("UINT8", [-1, 3, -1, -1])
    assert inputs["SEED"] == ("INT64", [-1, 1])
    assert given["PIXELS"] == ("FP32", [-1, 3, 32, 32])
    config = client.get_model_config("train", version)
    assert {each["name"]: [-1, *each["dims"]] for each in config["input"]} == {n: s for n, (_, s) in inputs.items()}
    assert {each["name"]: [-1, *each["dims"]] for each in config["output"]} == {n: s for n, (_, s) in given.items()}
    assert (config["max_batch_size"], config["backend"]) == (256, "augserve")
    assert all(each["optional"] for each in config["input"])


def test_the_metadata_is_true_of_every_output(client: Stock) -> None:
    for name in PIPELINES:
        metadata = client.get_model_metadata(name)
        told = {each["name"]: each for each in metadata["outputs"] if each["name"] != "CLIP"}
        elements = {"BOXES": "[[1, 2, 3, 4]]", "MASKS": make_file("PNG", (60, 80), "L"), "KEYPOINTS": "[[1, 2]]"}
        taken = {each["name"] for each in metadata["inputs"]}
        targets = {target: element for target, element in {**elements, "LABELS": "3"}.items() if target in taken}
        inputs = [strings("IMAGE", [FILE]), *(strings(target, [element]) for target, element in targets.items())]
        result = client.infer(name, inputs, outputs=outputs(*told))
        found = {each["name"]: each for each in result.get_response()["outputs"]}
        assert found.keys() == told.keys()
        for output, says in told.items():
            assert found[output]["datatype"] == says["datatype"], output
            assert len(found[output]["shape"]) == len(says["shape"]), output
            assert all(s in (-1, is_) for s, is_ in zip(says["shape"], found[output]["shape"], strict=True)), output


def test_labels_are_told_to_be_needed_where_they_are(client: Stock) -> None:
    config = client.get_model_config("mix")
    assert [each["name"] for each in config["input"] if not each["optional"]] == ["LABELS"]


def test_what_is_not_there_is_not_ready(client: Stock) -> None:
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("train", "2")
    with refused(404, "no pipeline named 'trian'; did you mean 'train'?"):
        client.get_model_metadata("trian")
    with refused(404, "no version '01' of pipeline 'train'"):
        client.get_model_config("train", "01")


def test_statistics_count_what_was_done(client: Stock) -> None:
    before = client.get_inference_statistics("crop")["model_stats"][0]
    client.infer("crop", [strings("IMAGE", [FILE] * 3)], parameters={"views": 2})
    with refused(400, "sample 0"):
        client.infer("crop", [strings("IMAGE", [make_file("PNG", (9, 9))])])
    after = client.get_inference_statistics("crop", "1")["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 6
    assert after["execution_count"] - before["execution_count"] >= 1
    assert after["last_inference"] > before["last_inference"]
    stats = after["inference_stats"]
    assert stats.keys() == STATISTICS
    assert [stats[name]["count"] - before["inference_stats"][name]["count"] for name in ("success", "fail")] == [1, 1]
    assert all(each["ns"] >= 0 for each in stats.values())
    assert stats["compute_infer"]["ns"] > 0
    batches = [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in after["batch_stats"]]
    assert sum(count for _, count in batches) == after["execution_count"]
    assert (after["memory_usage"], after["response_stats"]) == ([], {})
    everything = client.get_inference_statistics()["model_stats"]
    assert [each["name"] for each in everything] == sorted(PIPELINES)


def test_a_pipeline_is_taken_out_and_in_again(client: Stock, http: httpx.Client, live: Live) -> None:
    client.unload_model("gray")
    assert not client.is_model_ready("gray")
    assert http.post("/v1/augment/gray", content=FILE).status_code == 404
    live.service.catalog.refresh()
    index = {each["name"]: each for each in client.get_model_repository_index()}
    assert index["gray"] == {"name": "gray", "state": "UNAVAILABLE", "reason": "unloaded"}
    assert index["train"] == {"name": "train", "version": "1", "state": "READY", "reason": ""}
    ready = http.post("/v2/repository/index", json={"ready": True}).json()
    assert {each["name"] for each in ready} == PIPELINES.keys() - {"gray"}
    client.load_model("gray")
    assert client.is_model_ready("gray", "1")
    assert http.post("/v1/augment/gray", content=FILE).status_code == 200
    with refused(404, "no pipeline named 'nothing'"):
        client.unload_model("nothing")
    with refused(404, "no pipeline named 'nothing'"):
        client.load_model("nothing")
    with refused(501, "from their folder only"):
        client.load_model("gray", config="{}")


def test_loading_reads_the_file_again(client: Stock, live: Live) -> None:
    assert live.service.settings.pipelines is not None
    path = live.service.settings.pipelines / "crop.yaml"
    before = path.read_text()
    path.write_text("transforms: [{RandomCrop: {size: x}}]")
    with refused(400, "pipeline 'crop' cannot be loaded: crop.yaml:1: transforms[0].RandomCrop.size"):
        client.load_model("crop")
    assert client.is_model_ready("crop", "1")
    path.write_text("transforms: [{RandomCrop: {size: [20, 24]}}]")
    client.load_model("crop")
    assert client.get_model_metadata("crop", "2")["outputs"][0]["shape"] == [-1, 3, 20, 24]
    path.write_text(before)
    client.load_model("crop")


def test_what_is_logged_can_be_changed(client: Stock, http: httpx.Client, log_level: None) -> None:
    logging.root.setLevel(logging.WARNING)
    settings = client.get_log_settings()
    assert (settings["log_info"], settings["log_warning"], settings["log_verbose_level"]) == (False, True, 0)
    assert client.update_log_settings({"log_info": True, "log_verbose_level": 1})["log_verbose_level"] == 1
    assert logging.root.level == logging.DEBUG
    with refused(400, "log_format is 'default'; it must be 'ISO8601'"):
        client.update_log_settings({"log_format": "default"})
    with refused(400, "log_warning is 'False'; it must be true where log_verbose_level is"):
        client.update_log_settings({"log_warning": False})
    assert "there is no parameter 'log'" in error_of(http.post("/v2/logging", json={"log": 1}), 400)
    assert logging.root.level == logging.DEBUG


def test_nothing_is_traced_by_this_protocol(client: Stock) -> None:
    assert client.get_trace_settings()["trace_level"] == ["OFF"]
    assert client.get_trace_settings("train")["trace_level"] == ["OFF"]
    with refused(404, "no pipeline named"):
        client.get_trace_settings("nothing")
    assert client.update_trace_settings(settings={"trace_level": ["OFF"]})["trace_level"] == ["OFF"]
    with refused(501, "trace_level cannot be changed"):
        client.update_trace_settings("train", settings={"trace_level": ["TIMESTAMPS"]})


def test_an_answer_is_compressed_where_one_encoding_is_asked_for(client: Stock, http: httpx.Client) -> None:
    inputs = [strings("IMAGE", [FILE])]
    plain = client.infer("train", inputs, parameters={"seed": 7}).as_numpy("PIXELS")
    for encoding in ("gzip", "deflate"):
        result = client.infer("train", inputs, parameters={"seed": 7}, response_compression_algorithm=encoding)
        assert np.array_equal(result.as_numpy("PIXELS"), plain)
        headers = {"Inference-Header-Content-Length": "0", "Accept-Encoding": encoding}
        response = http.post("/v2/models/train/infer", content=FILE, headers=headers)
        assert response.headers["content-encoding"] == encoding


def test_what_aiohttp_always_accepts_is_not_compressed(live: Live) -> None:
    body, length = Stock.generate_request_body([strings("IMAGE", [FILE])], parameters={"seed": 7})

    async def ask() -> tuple[str, dict[str, str], Any]:
        headers = {"Inference-Header-Content-Length": str(length)}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{live.url}/v2/models/train/infer", data=body, headers=headers) as response,
            triton_aio.InferenceServerClient(live.url.removeprefix("http://")) as client,
        ):
            result = await client.infer("train", [strings("IMAGE", [FILE])], parameters={"seed": 7})
            return response.request_info.headers["Accept-Encoding"], dict(response.headers), result

    accepted, headers, result = asyncio.run(ask())
    assert accepted.startswith("gzip, deflate")
    assert "content-encoding" not in {name.lower() for name in headers}
    assert result.as_numpy("PIXELS").shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "words"),
    [
        ("GET", "/v2/", {}, 404, "there is nothing at /v2/"),
        ("GET", "/v2/models", {}, 404, "there is nothing at"),
        ("GET", "/v2/models/train/", {}, 404, "there is nothing at"),
        ("GET", "/v2/models/%ff%00/config", {}, 404, "no pipeline named"),
        ("GET", "/v2/models/a%2Fb", {}, 404, "there is nothing at"),
        ("GET", "/v2/models/train/infer", {}, 405, "it takes POST"),
        ("PUT", "/v2/logging", {}, 405, "does not take PUT"),
        ("POST", "/v2/health/live", {}, 405, "does not take POST"),
        ("POST", "/v2/models/nothing/infer", raw(b"{}"), 404, "no pipeline named 'nothing'"),
        ("POST", "/v2/models/train/infer", raw(b""), 400, "this is not JSON"),
        ("POST", "/v2/models/train/infer", raw(b"{}"), 400, "the request has no 'inputs'"),
        ("POST", "/v2/models/train/infer", raw(b"{}", 3), 400, "an integer from 0 to 2, the body, not '3'"),
        ("POST", "/v2/models/train/infer", raw(b"", 0), 400, "sample 0"),
        ("POST", "/v2/models/train/infer", raw(b"[" * 100_000), 400, "nested 100000 deep"),
        ("POST", "/v2/models/train/infer", raw(b" " * (1 << 20) + b"{}"), 400, "the JSON is 1048578 bytes"),
        ("POST", "/v2/models/train/infer", raw(b" " * (2 << 20) + b"{}"), 413, "at most 2097152 are allowed"),
        ("POST", "/v2/models/train/infer", raw(b"{}", **{"Content-Encoding": "br"}), 501, "allowed: gzip, deflate"),
        ("POST", "/v2/models/train/infer", raw(b"{}", **{"Content-Encoding": "gzip"}), 400, "the body is not gzip"),
        ("POST", "/v2/models/train/infer", raw(b"{}", **{"Augserve-Timeout-Ms": "x"}), 400, "Augserve-Timeout-Ms is"),
        ("POST", "/v2/repository/index", raw(b"[]"), 400, "the JSON is an object, not a list"),
        ("POST", "/v2/repository/index", raw(b'{"ready": 1}'), 400, "ready is '1'; it must be true or false"),
        ("POST", "/v2/repository/models/train/load", raw(b'{"parameters": 1}'), 400, "it must be an object"),
    ],
)
def test_every_failure_is_an_error_in_json(
    http: httpx.Client, method: str, path: str, request_: dict[str, Any], status: int, words: str
) -> None:
    assert words in error_of(http.request(method, path, **request_), status)


def test_an_index_takes_an_empty_body_and_any_content_type(client: Stock, http: httpx.Client) -> None:
    assert [each["name"] for each in client.get_model_repository_index()] == sorted(PIPELINES)
    for content_type in ("text/plain", "multipart/form-data", ""):
        response = http.post("/v2/repository/other/index?x=y", headers={"Content-Type": content_type})
        assert response.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_is_inflated_within_limits(encoding: str) -> None:
    deflate = gzip.compress if encoding == "gzip" else zlib.compress
    assert inflate(deflate(b"a" * 1000), encoding, 1000) == b"a" * 1000
    for data, limit, words in (
        (deflate(b"a" * 1001), 1000, "1001 bytes or more; at most 1000"),
        (deflate(bytes(FREE_BYTES * 8)), FREE_BYTES * 8, "bytes or more"),
        (deflate(b"abc")[:-1], 1000, "it has no end"),
        (deflate(b"abc") + b"x", 1000, "bytes follow its end"),
        (deflate(b"abc")[:1] + b"\0" * 20, 1000, f"not {encoding}"),
    ):
        with pytest.raises(Exception, match=words):
            inflate(data, encoding, limit)


def test_a_bomb_is_refused(http: httpx.Client) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    response = http.post("/v2/models/train/infer", **raw(bomb, **{"Content-Encoding": "gzip"}))
    assert "at most" in error_of(response, 413)


def test_a_body_may_come_in_chunks(http: httpx.Client) -> None:
    body, length = Stock.generate_request_body([strings("IMAGE", [FILE])])
    headers = {"Inference-Header-Content-Length": str(length)}
    response = http.post("/v2/models/train/infer", content=iter([body[:50], body[50:]]), headers=headers)
    assert response.status_code == 200
    endless = iter([bytes(1 << 20)] * 4)
    refusal = http.post("/v2/models/train/infer", content=endless, headers=headers)
    assert "at most 2097152 are allowed" in error_of(refusal, 413)


def test_who_hangs_up_is_not_worked_for(live: Live) -> None:
    load = live.service.admission.load
    before = load.results
    with busy_device(live, "crop") as released:
        waiting = live.service.admission.load.results
        with socket.create_connection(live.address) as connection:
            head = f"Inference-Header-Content-Length: 0\r\nContent-Length: {len(FILE)}\r\n"
            request = f"POST /v2/models/train/infer HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + FILE
            connection.sendall(request)
            until(lambda: live.service.admission.load.results > waiting)
        until(lambda: live.service.admission.load.results == waiting)
        released.set()
    until(lambda: live.service.admission.load.results == before)


def test_a_stopping_server_says_so_in_the_same_shape(tmp_path: Any) -> None:
    (tmp_path / "crop.yaml").write_text(PIPELINES["crop"])
    with run_server(pipelines=tmp_path, max_requests=1) as live, httpx.Client(base_url=live.url) as http:
        for path in ("/v2/repository/models/crop/unload", "/v2/repository/models/crop/load", "/v2/logging"):
            assert "the setting repository_control is off" in error_of(http.post(path, json={}), 403)
        assert set(http.get("/v2").json()["extensions"]).isdisjoint({"model_repository", "logging"})
        head = json.dumps({"inputs": [{"name": "IMAGE", "shape": [1], "datatype": "BYTES", "data": ["no image"]}]})
        assert "sample 0" in error_of(http.post("/v2/models/crop/infer", content=head), 415)
        live.service._in_flight += 1
        full = http.post("/v2/models/crop/infer", **raw(FILE, 0))
        live.service._in_flight -= 1
        assert "the queue is full (1 requests)" in error_of(full, 429)
        assert full.headers["retry-after"] == "1"
        live.service.draining = True
        stopping = http.post("/v2/models/crop/infer", **raw(FILE, 0))
        assert "shutting down" in error_of(stopping, 503)
        assert "draining" in error_of(http.get("/v2/health/ready"), 503)
        assert "draining" in error_of(http.get("/v2/models/crop/ready"), 503)
        assert http.get("/v2/health/live").status_code == 200
        live.service.draining = False


def test_a_mistake_of_ours_tells_nothing(http: httpx.Client, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(live.service, "engine")
    response = http.post("/v2/models/train/infer", **raw(FILE, 0))
    assert error_of(response, 500) == "the server made a mistake; its log has the details under this request id"


def test_raw_pixels_of_more_than_one_request_are_kept_apart(client: Stock) -> None:
    images = [np.full((1, 3, 45, 50), value, np.uint8) for value in (10, 200)]
    asked = [client.async_infer("crop", [tensor("IMAGE_RAW", image)]) for image in images * 3]
    values = [np.unique(call.get_result().as_numpy("PIXELS")).tolist() for call in asked]
    assert values == [[10], [200]] * 3


def test_the_fingerprint_is_the_one_of_v1(client: Stock, http: httpx.Client) -> None:
    parameters = client.infer("crop", [strings("IMAGE", [FILE])]).get_response()["parameters"]
    assert http.post("/v1/augment/crop", content=FILE).headers[FINGERPRINT_HEADER] == parameters["pipeline_sha256"]
