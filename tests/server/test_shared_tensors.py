"""Shared memory as stock clients use it: tensors in and out of regions, and everything that is refused."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, shared_memory

from augserve_server.app import create_app
from augserve_server.oip.shared_memory import FOLDER
from augserve_server.settings import Settings
from factories import make_file
from serving import Live, busy_device, run_server, until

KEY = f"/augserve-tests-{os.getpid()}"
SIZE = 1 << 20
PIPELINES = {
    "small": "transforms: [{Resize: {size: [8, 9]}}]",
    "floats": "transforms: [{Resize: {size: [8, 9]}}, {ToDtype: {dtype: float32, scale: true}}]",
}
IMAGE = make_file("PNG", (30, 40))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder, shared_memory=True, shared_memory_regions=4) as server:
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(live.url.removeprefix("http://"), concurrency=2)
    yield client
    client.unregister_system_shared_memory()
    client.close()
    assert live.service.regions is not None
    assert not len(live.service.regions)


@pytest.fixture
def region() -> Iterator[Any]:
    made = shared_memory.create_shared_memory_region("own", KEY, SIZE)
    yield made
    shared_memory.destroy_shared_memory_region(made)


@contextmanager
def refused(status: int, text: str) -> Iterator[None]:
    with pytest.raises(InferenceServerException) as caught:
        yield
    assert caught.value.status() == str(status)
    assert text in caught.value.message()


def elements(*images: bytes) -> np.ndarray:
    """What BYTES look like in memory."""
    return np.frombuffer(b"".join(len(image).to_bytes(4, "little") + image for image in images), np.uint8)


def shared_input(size: int, offset: int = 0, count: int = 1) -> triton.InferInput:
    image = triton.InferInput("IMAGE", [count], "BYTES")
    image.set_shared_memory("own", size, offset)
    return image


def shared_output(size: int, offset: int = 0, name: str = "PIXELS") -> triton.InferRequestedOutput:
    output = triton.InferRequestedOutput(name)
    output.set_shared_memory("own", size, offset)
    return output


def test_a_region_is_registered_told_of_and_unregistered(client: triton.InferenceServerClient, region: Any) -> None:
    assert client.get_system_shared_memory_status() == []
    client.register_system_shared_memory("own", KEY, 1000, offset=3)
    told = [{"name": "own", "key": KEY, "offset": 3, "byte_size": 1000}]
    assert client.get_system_shared_memory_status() == told
    assert client.get_system_shared_memory_status("own") == told
    client.unregister_system_shared_memory("other")
    client.unregister_system_shared_memory("own")
    with refused(404, "Unable to find shared memory region: 'own'"):
        client.get_system_shared_memory_status("own")
    assert "system_shared_memory" in client.get_server_metadata()["extensions"]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_images_come_from_a_region_and_results_go_there(
    client: triton.InferenceServerClient, region: Any, pipeline: str
) -> None:
    images = elements(IMAGE, make_file("JPEG", (20, 50)))
    shared_memory.set_shared_memory_region(region, [images], offset=7 + 13)
    client.register_system_shared_memory("own", KEY, SIZE - 7, offset=7)
    outputs = [shared_output(20_000, 500_001), triton.InferRequestedOutput("STATUS")]
    answer = client.infer(pipeline, [shared_input(images.size, 13, 2)], outputs=outputs, parameters={"seed": 5})

    told = answer.get_output("PIXELS")
    assert answer.as_numpy("STATUS").tolist() == [0, 0]
    assert "data" not in told
    dtype = {"UINT8": np.uint8, "FP32": np.float32}[told["datatype"]]
    found = shared_memory.get_contents_as_numpy(region, np.uint8, [SIZE])[7 + 500_001 :]
    found = found[: np.prod(told["shape"]) * np.dtype(dtype).itemsize].copy().view(dtype).reshape(told["shape"])

    plain = triton.InferInput("IMAGE", [2], "BYTES")
    plain.set_data_from_numpy(np.array([IMAGE, make_file("JPEG", (20, 50))], object))
    expected = client.infer(pipeline, [plain], parameters={"seed": 5}).as_numpy("PIXELS")
    np.testing.assert_array_equal(found, expected)
    assert told["parameters"]["shared_memory_byte_size"] == expected.nbytes


def test_encoded_results_go_into_a_region(client: triton.InferenceServerClient, region: Any) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    answer = client.infer("small", [shared_input(images.size)], outputs=[shared_output(50_000, 1001, "ENCODED")])
    shape = answer.get_output("ENCODED")["shape"]
    (encoded,) = shared_memory.get_contents_as_numpy(region, np.object_, shape, 1001).ravel()
    assert encoded.startswith((b"\xff\xd8\xff", b"\x89PNG"))


def test_an_output_that_does_not_fit_is_refused_and_nothing_is_written(
    client: triton.InferenceServerClient, region: Any
) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    text = (
        "shared memory size specified with the request for output 'PIXELS' (215 bytes) should be at least 216 bytes "
        "to hold the results"
    )
    with refused(400, text):
        client.infer("small", [shared_input(images.size)], outputs=[shared_output(215, 700_001)])
    assert not shared_memory.get_contents_as_numpy(region, np.uint8, [300], 700_001).any()


def test_what_a_region_holds_is_checked_like_any_input(client: triton.InferenceServerClient, region: Any) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    for size, count in ((images.size + 1, 1), (images.size - 1, 1), (images.size, 2), (3, 1)):
        with refused(400, "BYTES"):
            client.infer("small", [shared_input(size, count=count)])
    with refused(400, "the region has 1048576"):
        client.infer("small", [shared_input(SIZE, 1)])
    with refused(400, "the region has 1048576"):
        client.infer("small", [shared_input(2**63 - 1, 2**63 - 1)])
    with refused(404, "Unable to find shared memory region: 'own'"):
        client.unregister_system_shared_memory()
        client.infer("small", [shared_input(images.size)])


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "key is 'None'; it must be a string"),
        ({"key": 3, "byte_size": 10}, 400, "key is '3'"),
        ({"key": KEY}, 400, "byte_size is 'None'; it must be an integer"),
        ({"key": KEY, "byte_size": 1.5}, 400, "byte_size is '1.5'"),
        ({"key": KEY, "byte_size": True}, 400, "byte_size is 'True'"),
        ({"key": KEY, "byte_size": 10, "offset": "0"}, 400, "offset is '0'"),
        ({"key": KEY, "byte_size": 10, "offset": -1}, 400, "cannot be 10 bytes from -1 on"),
        ({"key": KEY, "byte_size": 2**64, "offset": 0}, 400, "at most"),
        ({"key": KEY, "byte_size": SIZE, "offset": 1}, 400, "the object has 1048576"),
        ({"key": "/etc/passwd", "byte_size": 10}, 400, "has a key that is not allowed"),
        ({"key": "/augserve-/../../etc/passwd", "byte_size": 10}, 400, "has a key that is not allowed"),
        ({"key": "/augserve-nothing", "byte_size": 10}, 400, "no shared memory object that can be used"),
    ],
)
def test_a_registration_that_is_wrong_says_so(live: Live, region: Any, body: object, status: int, text: str) -> None:
    response = httpx.post(f"{live.url}/v2/systemsharedmemory/region/own/register", json=body)
    assert response.status_code == status
    assert text in response.json()["error"]


def test_an_object_that_is_cut_short_fails_one_request(
    client: triton.InferenceServerClient, live: Live, region: Any
) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    os.truncate(FOLDER + KEY, 10)
    with refused(400, "region 'own' was cut short by its owner"):
        client.infer("small", [shared_input(images.size)])
    assert client.is_server_live()
    os.truncate(FOLDER + KEY, SIZE)  # or what the client has mapped would end the client


def test_a_region_that_is_unregistered_while_its_request_runs_still_gets_the_result(
    live: Live, client: triton.InferenceServerClient, region: Any
) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    regions = live.service.regions
    assert regions is not None
    with busy_device(live, "small") as released:
        asked = client.async_infer("small", [shared_input(images.size)], outputs=[shared_output(216, 900_001)])
        until(lambda: live.service.admission.load.results > 1)
        client.unregister_system_shared_memory("own")
        assert client.get_system_shared_memory_status() == []
        assert len(regions) == 1
        released.set()
        asked.get_result()
    until(lambda: len(regions) == 0)
    assert shared_memory.get_contents_as_numpy(region, np.uint8, [216], 900_001).any()


def test_a_client_that_goes_lets_go_of_its_regions(
    live: Live, client: triton.InferenceServerClient, region: Any
) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    place = {"shared_memory_region": "own", "shared_memory_byte_size": images.size}
    output = {"name": "PIXELS", "parameters": {**place, "shared_memory_byte_size": 216}}
    inputs = {"name": "IMAGE", "shape": [1], "datatype": "BYTES", "parameters": place}
    body = json.dumps({"inputs": [inputs], "outputs": [output]}).encode()
    head = f"POST /v2/models/small/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with busy_device(live, "small"):
        with socket.create_connection(live.address) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: live.service.admission.load.results > 1)
            client.unregister_system_shared_memory("own")
            assert live.service.regions is not None
            assert len(live.service.regions) == 1
        until(lambda: len(live.service.regions or ()) == 0)


def test_a_region_is_read_once_and_can_be_changed_while_its_request_waits(
    live: Live, client: triton.InferenceServerClient, region: Any
) -> None:
    images = elements(IMAGE)
    shared_memory.set_shared_memory_region(region, [images])
    client.register_system_shared_memory("own", KEY, SIZE)
    expected = client.infer("small", [shared_input(images.size)]).as_numpy("PIXELS")
    with busy_device(live, "small") as released:
        asked = client.async_infer("small", [shared_input(images.size)])
        until(lambda: live.service.admission.load.results > 1)
        shared_memory.set_shared_memory_region(region, [np.full(SIZE, 255, np.uint8)])
        released.set()
        np.testing.assert_array_equal(asked.get_result().as_numpy("PIXELS"), expected)


def test_clients_of_other_addresses_have_regions_of_their_own(
    live: Live, client: triton.InferenceServerClient, region: Any
) -> None:
    client.register_system_shared_memory("own", KEY, SIZE)
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=live.url, transport=transport) as other:
        assert other.get("/v2/systemsharedmemory/status").json() == []
        assert other.get("/v2/systemsharedmemory/region/own/status").status_code == 404
        assert other.post("/v2/systemsharedmemory/region/own/unregister").status_code == 200
        body = {"key": KEY, "byte_size": 10}
        taken = other.post("/v2/systemsharedmemory/region/own/register", json=body)
        assert taken.status_code == 400
        assert KEY not in taken.text
        parameters = {"shared_memory_region": "own", "shared_memory_byte_size": 100}
        head = {"inputs": [{"name": "IMAGE", "shape": [1], "datatype": "BYTES", "parameters": parameters}]}
        assert other.post("/v2/models/small/infer", json=head).status_code == 404
    assert client.get_system_shared_memory_status("own")


def test_cuda_shared_memory_is_told_to_be_absent(client: triton.InferenceServerClient) -> None:
    assert client.get_cuda_shared_memory_status() == []
    with refused(404, "Unable to find"):
        client.get_cuda_shared_memory_status("x")
    with refused(501, "CUDA shared memory is not enabled on this server; use system shared memory"):
        client.register_cuda_shared_memory("x", b"a" * 64, 0, 10)
    client.unregister_cuda_shared_memory("x")
    client.unregister_cuda_shared_memory()


def test_inputs_in_regions_are_bounded_as_bodies_are(tmp_path: Path, region: Any) -> None:
    (tmp_path / "small.yaml").write_text(PIPELINES["small"])
    with run_server(pipelines=tmp_path, shared_memory=True, max_body_bytes=10_000) as live:
        client = triton.InferenceServerClient(live.url.removeprefix("http://"))
        client.register_system_shared_memory("own", KEY, SIZE)
        with refused(413, "at most 10000 are allowed"):
            client.infer("small", [shared_input(10_001)])
        client.close()


async def ask_from(host: str) -> httpx.Response:
    """Register a region, as a client of this address would."""
    app = create_app(Settings(device="cpu", reload=False, shared_memory=True))
    transport = httpx.ASGITransport(app, client=(host, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return await client.post("/v2/systemsharedmemory/region/own/register", json={"key": KEY, "byte_size": 10})


@pytest.mark.parametrize(("host", "status"), [("10.0.0.1", 403), ("::ffff:10.0.0.1", 403), ("::1", 200)])
def test_only_clients_on_this_machine_may_register(region: Any, host: str, status: int) -> None:
    response = asyncio.run(ask_from(host))
    assert response.status_code == status
    if status == 403:
        assert "over the loopback interface of this machine" in response.json()["error"]


def test_without_the_setting_there_is_no_shared_memory(tmp_path: Path, region: Any) -> None:
    (tmp_path / "small.yaml").write_text(PIPELINES["small"])
    off = "system shared memory is not enabled on this server; the server's setting shared_memory enables it"
    with run_server(pipelines=tmp_path) as live:
        client = triton.InferenceServerClient(live.url.removeprefix("http://"))
        assert client.get_system_shared_memory_status() == []
        with refused(404, "Unable to find shared memory region: 'own'"):
            client.get_system_shared_memory_status("own")
        for call in (
            lambda: client.register_system_shared_memory("own", KEY, SIZE),
            lambda: client.unregister_system_shared_memory("own"),
            lambda: client.infer("small", [shared_input(100)]),
            lambda: client.infer("small", [shared_input(100)], outputs=[shared_output(100)]),
        ):
            with refused(501, off):
                call()
        assert "system_shared_memory" not in client.get_server_metadata()["extensions"]
        client.close()
