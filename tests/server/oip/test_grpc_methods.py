"""What gRPC answers besides inference: the methods of the stock client against REST's documents, and gRPC's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from augserve_server.errors import RequestError
from augserve_server.grpc_service import health
from augserve_server.grpc_service.arrivals import Arrivals
from augserve_server.grpc_service.calls import Metadata, RpcVisit
from augserve_server.grpc_service.rpcs import Rpcs, Unary
from factories import make_file
from serving import Live, run_server, shipped_pipelines, until


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    pipelines = shipped_pipelines(tmp_path_factory.mktemp("pipelines"), "imagenet_train", "preview", "thumbnail")
    with run_server(grpc_port=0, pipelines=pipelines, repository_control=True) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(live.grpc_url) as client:
        yield client


@pytest.fixture
def channel(live: Live) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(live.grpc_url) as channel:
        yield channel


def rest(live: Live, path: str) -> Any:
    return httpx.get(f"{live.url}/v2{path}").raise_for_status().json()


def test_the_server_is_live_and_ready_and_so_are_its_pipelines(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("thumbnail")
    assert client.is_model_ready("thumbnail", "1")
    assert not client.is_model_ready("thumbnail", "2")
    assert not client.is_model_ready("no_such")


def test_metadata_is_that_of_rest(live: Live, client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata(as_json=True) == rest(live, "")
    ours = client.get_model_metadata("imagenet_train")
    theirs = rest(live, "/models/imagenet_train")
    for side in ("inputs", "outputs"):
        assert [(one.name, one.datatype, list(one.shape)) for one in getattr(ours, side)] == [
            (one["name"], one["datatype"], one["shape"]) for one in theirs[side]
        ]
    assert (ours.name, list(ours.versions), ours.platform) == ("imagenet_train", ["1"], theirs["platform"])


def test_the_configuration_is_that_of_rest(live: Live, client: triton.InferenceServerClient) -> None:
    config = client.get_model_config("imagenet_train", as_json=True)["config"]
    theirs = rest(live, "/models/imagenet_train/config")
    assert config["max_batch_size"] == theirs["max_batch_size"]
    assert config["parameters"] == theirs["parameters"]
    assert [one["data_type"] for one in config["input"]] == [one["data_type"] for one in theirs["input"]]
    assert [[int(size) for size in one.get("dims", [])] for one in config["output"]] == [
        one["dims"] for one in theirs["output"]
    ]
    assert "dynamic_batching" in config


def test_statistics_count_what_came_over_grpc(live: Live, client: triton.InferenceServerClient) -> None:
    tensor = triton.InferInput("IMAGE_RAW", [3, 3, 8, 8], "UINT8")
    tensor.set_data_from_numpy(np.zeros((3, 3, 8, 8), np.uint8))
    client.infer("thumbnail", [tensor])
    (counted,) = client.get_inference_statistics("thumbnail").model_stats
    assert counted.inference_count == 3
    assert counted.inference_stats.success.count == 1
    assert counted.inference_stats.success.ns > 0
    assert len(client.get_inference_statistics().model_stats) == len(list(live.service.catalog))
    assert rest(live, "/models/thumbnail/stats")["model_stats"][0]["inference_count"] == 3


def test_the_index_has_every_pipeline_and_they_are_taken_out_and_in(
    live: Live, client: triton.InferenceServerClient
) -> None:
    def states() -> dict[str, str]:
        return {one.name: one.state for one in client.get_model_repository_index().models}

    assert set(states().values()) == {"READY"}
    client.unload_model("preview")
    assert states()["preview"] == "UNAVAILABLE"
    assert not client.is_model_ready("preview")
    client.load_model("preview")
    assert states()["preview"] == "READY"
    with pytest.raises(InferenceServerException, match="send no parameters"):
        client.load_model("preview", config="{}")


def test_the_log_is_read_and_changed(client: triton.InferenceServerClient) -> None:
    before = logging.root.level
    try:
        changed = client.update_log_settings({"log_info": True, "log_verbose_level": 1}, as_json=True)["settings"]
        assert changed["log_info"] == {"bool_param": True}
        assert changed["log_verbose_level"] == {"uint32_param": 1}
        assert logging.root.level == logging.DEBUG
        assert client.get_log_settings(as_json=True)["settings"] == changed
    finally:
        logging.root.setLevel(before)


def test_the_trace_is_off_and_stays_so(client: triton.InferenceServerClient) -> None:
    assert client.get_trace_settings().settings["trace_level"].value == ["OFF"]
    assert client.update_trace_settings(settings={"trace_level": ["OFF"]}).settings["trace_rate"].value == ["0"]
    with pytest.raises(InferenceServerException) as caught:
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_shared_memory_is_off(client: triton.InferenceServerClient) -> None:
    assert not client.get_system_shared_memory_status().regions
    assert not client.get_cuda_shared_memory_status().regions
    client.unregister_cuda_shared_memory()
    for call in (
        lambda: client.register_system_shared_memory("region", "/key", 8),
        lambda: client.register_cuda_shared_memory("region", bytes(64), 0, 8),
        client.unregister_system_shared_memory,
    ):
        with pytest.raises(InferenceServerException, match="shared memory is not enabled") as caught:
            call()
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"


def test_shared_memory_holds_what_goes_in_and_what_comes_out(live: Live) -> None:
    raw = np.frombuffer(make_file("PNG", (40, 30)), np.uint8)[None]  # UINT8 [1, L]
    pixels = 3 * 224 * 224 * 4
    key = f"/augserve-{uuid4().hex}"
    with run_server(grpc_port=0, shared_memory=True, pipelines=live.service.settings.pipelines) as other:
        region = shm.create_shared_memory_region("both", key, raw.nbytes + pixels)
        try:
            shm.set_shared_memory_region(region, [raw])
            with triton.InferenceServerClient(other.grpc_url) as client:
                client.register_system_shared_memory("both", key, raw.nbytes + pixels)
                assert client.get_system_shared_memory_status().regions["both"].byte_size == raw.nbytes + pixels
                image, result = triton.InferInput("IMAGE", raw.shape, "UINT8"), triton.InferRequestedOutput("PIXELS")
                image.set_shared_memory("both", raw.nbytes)
                result.set_shared_memory("both", pixels, raw.nbytes)
                asked = [result, triton.InferRequestedOutput("STATUS")]
                answer = client.infer("imagenet_train", [image], outputs=asked, parameters={"seed": 3})
                assert answer.as_numpy("STATUS").tolist() == [0]
                there = shm.get_contents_as_numpy(region, np.float32, (1, 3, 224, 224), raw.nbytes).copy()
                image.set_data_from_numpy(raw)
                sent = client.infer("imagenet_train", [image], parameters={"seed": 3}).as_numpy("PIXELS")
                client.unregister_system_shared_memory("both")
                assert not client.get_system_shared_memory_status().regions
        finally:
            shm.destroy_shared_memory_region(region)
    np.testing.assert_array_equal(there, sent)


def test_control_is_off_unless_it_is_allowed(live: Live) -> None:
    pipelines = live.service.settings.pipelines
    with run_server(grpc_port=0, pipelines=pipelines) as other, triton.InferenceServerClient(other.grpc_url) as client:
        for call in (
            lambda: client.unload_model("preview"),
            lambda: client.load_model("preview"),
            lambda: client.update_log_settings({"log_info": True}),
        ):
            with pytest.raises(InferenceServerException) as caught:
                call()
            assert caught.value.status() == "StatusCode.PERMISSION_DENIED"
        assert client.is_model_ready("preview")


# gRPC's own health service, asked with a stub made of its field numbers alone.


def ask(channel: grpc.Channel, method: str) -> Callable[..., Any]:
    """Calls a method of the health service with bytes for messages."""
    return channel.unary_unary(f"/grpc.health.v1.Health/{method}")


def about(service: str) -> bytes:
    """A HealthCheckRequest: field 1, a string."""
    return bytes([0x0A, len(service)]) + service.encode() if service else b""


SERVING = bytes([0x08, 1])
NOT_SERVING = bytes([0x08, 2])


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "grpc.health.v1.Health"])
def test_a_server_that_is_ready_is_serving(channel: grpc.Channel, service: str) -> None:
    assert ask(channel, "Check")(about(service), timeout=10) == SERVING


def test_a_service_that_is_not_here_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Check")(about("other.Service"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "'other.Service'; there are inference.GRPCInferenceService" in caught.value.details()


def test_all_services_are_listed(channel: grpc.Channel) -> None:
    answer = ask(channel, "List")(b"", timeout=10)
    for name in (b"inference.GRPCInferenceService", b"grpc.health.v1.Health"):
        assert bytes([0x0A, len(name)]) + name + bytes([0x12, len(SERVING)]) + SERVING in answer


def watch(channel: grpc.Channel, service: str = "") -> Any:
    """The statuses of a service, one after another, until the call is cancelled."""
    return channel.unary_stream("/grpc.health.v1.Health/Watch")(about(service), timeout=30)


def test_whoever_watches_is_told_at_once_and_when_it_changes(live: Live, channel: grpc.Channel) -> None:
    call = watch(channel)
    assert next(call) == SERVING
    live.service.draining = True
    try:
        assert next(call) == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        live.service.draining = False
    again = watch(channel)
    assert next(again) == SERVING
    again.cancel()


def test_a_service_that_is_not_here_is_watched_as_unknown(channel: grpc.Channel) -> None:
    call = watch(channel, "other.Service")
    assert next(call) == bytes([0x08, 3])
    call.cancel()


def test_there_are_so_many_watchers_at_most(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 2)
    calls = [watch(channel) for _ in range(2)]
    assert [next(call) for call in calls] == [SERVING] * 2
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(channel))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    for call in calls:
        call.cancel()
    until(lambda: _is_watched(channel))


def _is_watched(channel: grpc.Channel) -> bool:
    """Whether there is a place for one more."""
    call = watch(channel)
    try:
        return bool(next(call) == SERVING)
    except grpc.RpcError:
        return False
    finally:
        call.cancel()


def test_a_method_that_is_not_here_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Other")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_message_is_an_invalid_argument(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, "Check")(b"\xff\xff\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "these 3 bytes are no grpc.health.v1.HealthCheckRequest"
    trailing = dict(caught.value.trailing_metadata())
    assert trailing["augserve-error"] == "body-malformed"
    assert len(trailing["augserve-request-id"]) == 16


# Mistakes of ours, and who may call.


@contextmanager
def served(live: Live, rpcs: Rpcs) -> Iterator[grpc.Channel]:
    """A server of its own, in the live one's event loop, and a channel to it."""

    async def serve() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(handlers=[rpcs])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(serve(), live.loop).result(30)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    asyncio.run_coroutine_threadsafe(server.stop(0), live.loop).result(30)


def test_a_mistake_of_ours_is_in_the_log_and_not_in_the_answer(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: object, __: RpcVisit) -> bytes:
        raise RuntimeError("a secret")

    rpcs = Rpcs(live.service, [Unary("/broken/Call", bytes, broken)], Arrivals(1))
    with served(live, rpcs) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/broken/Call")(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in f"{caught.value.details()} {caught.value.trailing_metadata()}"
    assert "a secret" in caplog.text
    assert dict(caught.value.trailing_metadata())["augserve-request-id"] in caplog.text


def test_whoever_may_not_call_is_told_so_and_whoever_may_has_a_name(live: Live) -> None:
    class NotYou(RequestError):
        status = 401

    def authorize(metadata: Metadata, path: str) -> str:
        if ("authorization", "Bearer good") not in metadata:
            raise NotYou(f"nobody may call {path} without a token")
        return "trainer"

    async def who(_: object, visit: RpcVisit) -> bytes:
        return visit.client.encode()

    rpcs = Rpcs(live.service, [Unary("/who/Call", bytes, who)], Arrivals(1), authorize)
    with served(live, rpcs) as channel:
        call = channel.unary_unary("/who/Call")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=30, metadata=(("authorization", "Bearer bad"),))
        assert call(b"", timeout=30, metadata=(("authorization", "Bearer good"),)) == b"trainer"
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert caught.value.details() == "nobody may call /who/Call without a token"
