"""Over gRPC too: what is too much, too late or wanted by nobody is refused and let go, and the end loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from augserve_server.app import create_app
from augserve_server.grpc_service.arrivals import Arrivals
from augserve_server.grpc_service.calls import host_of
from augserve_server.serving import Server
from augserve_server.settings import Settings
from factories import make_file
from serving import Live, busy_device, run_server, shipped_pipelines, until

FILE = make_file("JPEG", (60, 80))
WAIT_S = 30
REFUSED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""What a call ends with at a server that leaves: the second where it was on its way when the client was told."""


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shipped_pipelines(tmp_path_factory.mktemp("pipelines"), "imagenet_train", "thumbnail")


@pytest.fixture(scope="module")
def shared(pipelines: Path) -> Iterator[Live]:
    with run_server(grpc_port=0, pipelines=pipelines) as live:
        yield live


class Stub(service_pb2_grpc.GRPCInferenceServiceStub):
    """The methods of a server, with messages for arguments."""

    def __init__(self, live: Live) -> None:
        self.channel = grpc.insecure_channel(live.grpc_url)
        super().__init__(self.channel)

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


def message(*files: bytes, model: str = "imagenet_train", **integers: int) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    given = files or (FILE,)
    request.inputs.add(name="IMAGE", datatype="BYTES", shape=[len(given)]).contents.bytes_contents.extend(given)
    for name, value in integers.items():
        request.parameters[name].int64_param = value
    return request


def computed(live: Live) -> float:
    """Samples of imagenet_train that went to the device."""
    return live.metric("batch_size_sum", pipeline="imagenet_train")


# Too late.


def test_the_clients_deadline_takes_its_work_away(shared: Live) -> None:
    before = computed(shared)
    with Stub(shared) as stub, busy_device(shared):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message(), timeout=0.2)
        until(lambda: shared.metric("queue_results") == 1)  # the one that runs
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert computed(shared) == before
    assert shared.metric("wasted_megapixels_total", stage="run") == 0


def test_client_timeout_of_the_stock_client_is_such_a_deadline(shared: Live) -> None:
    tensor = triton.InferInput("IMAGE_RAW", [1, 3, 8, 8], "UINT8")
    tensor.set_data_from_numpy(np.zeros((1, 3, 8, 8), np.uint8))
    with triton.InferenceServerClient(shared.grpc_url) as client, busy_device(shared):
        with pytest.raises(InferenceServerException) as caught:
            client.infer("imagenet_train", [tensor], client_timeout=0.2)
        until(lambda: shared.metric("queue_results") == 1)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_the_requests_timeout_is_kept_to_and_the_answer_says_where_it_was(shared: Live) -> None:
    with Stub(shared) as stub, busy_device(shared), pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message(timeout=60_000), timeout=WAIT_S)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.details() == "the answer was not ready within 60 ms (in run)"


def test_the_servers_deadline_holds_without_one(pipelines: Path) -> None:
    with (
        run_server(grpc_port=0, pipelines=pipelines, deadline_ms=400) as live,
        Stub(live) as stub,
        busy_device(live) as released,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message(), timeout=WAIT_S)
        released.set()
    assert caught.value.details() == "the answer was not ready within 400 ms (in run)"


def test_a_message_that_does_not_come_is_not_waited_for(pipelines: Path) -> None:
    never = Event()
    with run_server(grpc_port=0, pipelines=pipelines, body_timeout_s=0.1) as live, Stub(live) as stub:
        slow = stub.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            slow(iter(lambda: never.wait(WAIT_S) and b"", b"end"), timeout=WAIT_S)
        never.set()
    assert "the body did not arrive" in caught.value.details()


# Wanted by nobody.


def test_a_call_that_is_cancelled_is_not_computed(shared: Live) -> None:
    before = computed(shared)
    with Stub(shared) as stub:
        with busy_device(shared):
            call = stub.ModelInfer.future(message(FILE, FILE, FILE), timeout=WAIT_S)
            until(lambda: shared.metric("queue_results") == 4)
            call.cancel()
            until(lambda: shared.metric("queue_results") == 1)
        stub.ModelInfer(message(), timeout=WAIT_S)
    assert computed(shared) == before + 1
    assert shared.metric("wasted_megapixels_total", stage="run") == 0
    assert shared.metric("failures_total", error="client-gone") > 0


def test_a_stream_that_is_cancelled_takes_all_its_requests_along(shared: Live) -> None:
    before = computed(shared)
    with Stub(shared) as stub:
        with busy_device(shared):
            still_open = Event()
            requests = iter([message(), message(FILE, FILE)])
            answers = stub.ModelStreamInfer(iter(lambda: next(requests, None) or still_open.wait(WAIT_S), True))
            until(lambda: shared.metric("queue_results") == 4)
            answers.cancel()
            still_open.set()
            until(lambda: shared.metric("queue_results") == 1)
        stub.ModelInfer(message(), timeout=WAIT_S)
    assert computed(shared) == before + 1


# Too much.


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines, queue_results=4) as live, Stub(live) as stub:
        with busy_device(live):
            accepted = stub.ModelInfer.future(message(FILE, FILE, FILE), timeout=WAIT_S)
            until(lambda: live.metric("queue_results") == 4)
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(message(), timeout=WAIT_S)
        assert len(accepted.result().raw_output_contents[0]) == 3 * 3 * 224 * 224 * 4
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the queue is full" in caught.value.details()
    trailing = dict(caught.value.trailing_metadata())
    assert trailing["augserve-error"] == "queue-full"
    assert int(trailing["grpc-retry-pushback-ms"]) >= 1000


def test_a_message_that_is_too_large_is_refused_packed_or_not(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines, max_body_bytes=100_000) as live, Stub(live) as stub:
        infer = stub.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
            with pytest.raises(grpc.RpcError) as caught:
                infer(bytes(50_000_000), timeout=WAIT_S, compression=compression)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "message larger than max" in caught.value.details()
        assert stub.ModelInfer(message(), timeout=WAIT_S).raw_output_contents


def test_more_work_than_ever_fits_is_refused_for_good(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines, max_output_bytes=1000) as live, Stub(live) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(message(), timeout=WAIT_S)
        assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=WAIT_S).live
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 1000 are allowed" in caught.value.details()


def test_one_client_leaves_places_for_the_messages_of_others() -> None:
    async def others() -> tuple[bool, bool]:
        arrivals = Arrivals(8)
        entered: list[str] = []
        came = asyncio.Event()

        async def arrive(client: str) -> None:
            async with arrivals.one_of(client):
                entered.append(client)
                if client == "other":
                    came.set()
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(arrive("slow")) for _ in range(50)]
        tasks.append(asyncio.create_task(arrive("other")))
        await asyncio.wait_for(came.wait(), WAIT_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with arrivals.one_of("slow"):  # every place was given back
            return entered.count("slow") == 2, "other" in entered

    assert asyncio.run(others()) == (True, True)


# The end, and the beginning.


def test_a_drain_finishes_what_was_accepted_and_refuses_the_rest(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines) as live, Stub(live) as stub:
        with busy_device(live):
            accepted = stub.ModelInfer.future(message(), timeout=WAIT_S)
            until(lambda: live.metric("queue_results") == 2)
            live.drain()
            until(lambda: live.service.draining)
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(message(), timeout=WAIT_S)
        assert accepted.result().raw_output_contents
    assert caught.value.code() in REFUSED


def test_a_stream_is_told_of_a_drain_and_has_its_last_answers(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines) as live, Stub(live) as stub:
        still_open, next_one = Event(), Event()

        def requests() -> Iterator[Any]:
            yield message()
            next_one.wait(WAIT_S)
            yield message()
            still_open.wait(WAIT_S)

        with busy_device(live):
            answers = stub.ModelStreamInfer(requests())
            until(lambda: live.metric("queue_results") == 2)
            live.drain()
            until(lambda: live.service.draining)
            next_one.set()
            until(lambda: live.metric("failures_total", error="draining") == 1)
        assert next(answers).infer_response.raw_output_contents
        assert next(answers).error_message == "the server is shutting down; another may answer"
        still_open.set()


def test_a_stream_that_is_open_and_idle_does_not_hold_up_the_end(pipelines: Path) -> None:
    with run_server(grpc_port=0, pipelines=pipelines) as live, Stub(live) as stub:
        still_open = Event()
        requests = iter([message()])
        answers = stub.ModelStreamInfer(iter(lambda: next(requests, None) or still_open.wait(WAIT_S), True))
        assert next(answers).infer_response.model_name == "imagenet_train"
        live.drain()
        with pytest.raises(grpc.RpcError):
            next(answers)
        still_open.set()


def test_a_port_that_is_taken_is_an_error(shared: Live, pipelines: Path) -> None:
    settings = Settings(port=0, grpc_port=shared.server.grpc_port, pipelines=pipelines, reload=False, device="cpu")
    with pytest.raises(OSError, match=r"gRPC cannot listen on 127\.0\.0\.1:\d+"):
        Server(create_app(settings), settings).run()


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:50000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:50000", "::1"),
        ("ipv6:[::ffff:10.0.0.7]:50000", "10.0.0.7"),
        ("unix:", "unix:"),
    ],
)
def test_a_client_is_its_address_without_the_port(peer: str, host: str) -> None:
    assert host_of(peer) == host
