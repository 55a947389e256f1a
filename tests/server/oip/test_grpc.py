"""The Open Inference Protocol over gRPC, as the stock client speaks it: inference, one at a time and in streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from io import BytesIO
from queue import Queue
from typing import Any

import grpc
import httpx
import numpy as np
import numpy.typing as npt
import pytest
import torch
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from augserve.wire import read_npy
from factories import make_file
from oracle import tv_functional, v2
from serving import Live, run_server, shipped_pipelines

FILES = [make_file("JPEG", (60, 80)), make_file("PNG", (90, 70)), make_file("WEBP", (64, 64))]
BROKEN = b"\xff\xd8\xff\x00 not an image \x80"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    pipelines = shipped_pipelines(tmp_path_factory.mktemp("pipelines"), "imagenet_eval", "imagenet_train", "thumbnail")
    with run_server(grpc_port=0, pipelines=pipelines) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(live.grpc_url) as client:
        yield client


@pytest.fixture
def stub(live: Live) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(live.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def images(files: list[bytes], name: str = "IMAGE") -> triton.InferInput:
    tensor = triton.InferInput(name, [len(files)], "BYTES")
    tensor.set_data_from_numpy(np.array(files, dtype=object))
    return tensor


def pixels(shape: tuple[int, ...], fill: int = 7) -> triton.InferInput:
    tensor = triton.InferInput("IMAGE_RAW", list(shape), "UINT8")
    tensor.set_data_from_numpy(np.full(shape, fill, np.uint8))
    return tensor


def message(files: list[bytes], model: str = "thumbnail", request_id: str = "", **integers: int) -> Any:
    """A request as a message, for what the client's methods cannot say."""
    request = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    request.inputs.add(name="IMAGE", datatype="BYTES", shape=[len(files)]).contents.bytes_contents.extend(files)
    for name, value in integers.items():
        request.parameters[name].int64_param = value
    return request


def over_http(live: Live, pipeline: str, file: bytes, seed: int) -> npt.NDArray[Any]:
    url = f"{live.url}/v1/augment/{pipeline}?seed={seed}"
    return read_npy(httpx.post(url, content=file, headers={"accept": "application/x-npy"}, timeout=30).content)


def collected() -> tuple[Queue[tuple[Any, Exception | None]], Callable[..., None]]:
    """What arrives in the callback of a stream or an asynchronous call."""
    arrived: Queue[tuple[Any, Exception | None]] = Queue()
    return arrived, lambda result, error: arrived.put((result, error))


# One at a time.


def test_results_are_those_of_http_and_of_torchvision(live: Live, client: triton.InferenceServerClient) -> None:
    result = client.infer("imagenet_train", [images(FILES)], parameters={"seed": 5})
    got = result.as_numpy("PIXELS")
    for i, file in enumerate(FILES):
        assert np.array_equal(got[i], over_http(live, "imagenet_train", file, 5 + i))
    torch.manual_seed(6)
    decoded = tv_functional.pil_to_tensor(Image.open(BytesIO(FILES[1])))
    oracle = v2.Compose(
        [
            v2.RandomResizedCrop(224),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    assert np.array_equal(got[1], oracle(decoded).numpy())


def test_raw_pixels_are_answered_in_raw_contents(client: triton.InferenceServerClient) -> None:
    result = client.infer("thumbnail", [pixels((2, 3, 40, 50))], request_id="mine")
    response = result.get_response()
    assert response.id == "mine"
    assert result.as_numpy("PIXELS").shape[0] == 2
    assert len(response.raw_output_contents) == len(response.outputs)
    assert not any(output.HasField("contents") for output in response.outputs)


def test_typed_contents_are_taken_too(
    client: triton.InferenceServerClient, stub: service_pb2_grpc.GRPCInferenceServiceStub
) -> None:
    typed = stub.ModelInfer(message(FILES[:1], "imagenet_train", seed=5), timeout=30)
    raw = client.infer("imagenet_train", [images(FILES[:1])], parameters={"seed": 5}).get_response()
    assert typed.raw_output_contents[0] == raw.raw_output_contents[0]


def test_bytes_that_are_no_text_come_back_as_they_were(client: triton.InferenceServerClient) -> None:
    outputs = [triton.InferRequestedOutput("ENCODED")]
    result = client.infer("thumbnail", [images(FILES)], outputs=outputs, parameters={"format": "png"})
    encoded = result.as_numpy("ENCODED")
    assert [bytes(one[:4]) for one in encoded] == [b"\x89PNG"] * 3


def test_a_broken_image_may_fail_alone(client: triton.InferenceServerClient) -> None:
    files = [FILES[0], BROKEN]
    result = client.infer("thumbnail", [images(files)], parameters={"on_error": "fill"})
    assert [status == 0 for status in result.as_numpy("STATUS")] == [True, False]
    with pytest.raises(InferenceServerException) as caught:
        client.infer("thumbnail", [images(files)])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_messages_over_four_mebibytes_pass_both_ways(client: triton.InferenceServerClient) -> None:
    batch = pixels((32, 3, 256, 256))
    result = client.infer("imagenet_eval", [batch])
    assert result.as_numpy("PIXELS").nbytes == 32 * 3 * 224 * 224 * 4


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_may_be_compressed_and_answers_are_not(
    live: Live, client: triton.InferenceServerClient, algorithm: str
) -> None:
    plain = client.infer("thumbnail", [pixels((1, 3, 64, 64))])
    packed = client.infer("thumbnail", [pixels((1, 3, 64, 64))], compression_algorithm=algorithm)
    assert np.array_equal(packed.as_numpy("PIXELS"), plain.as_numpy("PIXELS"))


def test_a_batch_of_nothing_is_a_tensor_of_nothing(client: triton.InferenceServerClient) -> None:
    empty = triton.InferInput("IMAGE_RAW", [0, 3, 8, 8], "UINT8")
    empty.set_data_from_numpy(np.empty((0, 3, 8, 8), np.uint8))
    assert client.infer("thumbnail", [empty]).as_numpy("PIXELS").shape[0] == 0


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda client: client.infer("no_such", [images(FILES)]), "NOT_FOUND", "no pipeline named 'no_such'"),
        (lambda client: client.infer("thumbnail", [images(FILES)], model_version="77"), "NOT_FOUND", "77"),
        (lambda client: client.infer("thumbnail", [images(FILES, "PICTURE")]), "INVALID_ARGUMENT", "'PICTURE'"),
        (lambda client: client.infer("thumbnail", [images(FILES)], parameters={"sed": 1}), "INVALID_ARGUMENT", "'sed'"),
        (
            lambda client: client.infer("thumbnail", [images(FILES)], outputs=[triton.InferRequestedOutput("X")]),
            "INVALID_ARGUMENT",
            "'X'",
        ),
    ],
)
def test_errors_have_a_status_and_say_what_is_wrong(
    client: triton.InferenceServerClient, call: Callable[[Any], None], code: str, says: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call(client)
    assert caught.value.status() == f"StatusCode.{code}"
    assert says in caught.value.message()


def test_a_message_that_mixes_contents_is_refused(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    request = message(FILES[:1])
    request.raw_input_contents.append(b"\0\0\0\0")
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not to be mixed" in caught.value.details()


def test_a_call_is_one_line_in_the_log(
    live: Live, client: triton.InferenceServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "augserve.access"):
        client.infer("thumbnail", [images(FILES)], headers={"x-request-id": "call-7"})
        (record,) = [one for one in caplog.records if one.about["id"] == "call-7"]
    assert {"method": "RPC", "path": "/inference.GRPCInferenceService/ModelInfer", "status": 200}.items() <= (
        record.about.items()
    )
    assert (record.about["pipeline"], record.about["results"]) == ("thumbnail", 3)
    assert live.metric("requests_total", pipeline="thumbnail", status="200") > 0


def test_asynchronous_calls_answer_in_their_callbacks(client: triton.InferenceServerClient) -> None:
    arrived, callback = collected()
    for i in range(4):
        client.async_infer("thumbnail", [images(FILES)], callback, request_id=str(i))
    answers = [arrived.get(timeout=30) for _ in range(4)]
    assert sorted(result.get_response().id for result, error in answers if error is None) == list("0123")


def test_the_asyncio_client_infers_and_streams(live: Live) -> None:
    async def both() -> tuple[Any, list[str]]:
        async with triton_aio.InferenceServerClient(live.grpc_url) as client:
            one = await client.infer("imagenet_train", [images(FILES)], parameters={"seed": 5})

            async def requests() -> Any:
                for i in range(3):
                    yield {"model_name": "thumbnail", "inputs": [images(FILES)], "request_id": str(i)}

            answers = [answer async for answer in client.stream_infer(requests())]
            return one.as_numpy("PIXELS"), [result.get_response().id for result, error in answers if error is None]

    got, ids = asyncio.run(both())
    assert np.array_equal(got[0], over_http(live, "imagenet_train", FILES[0], 5))
    assert ids == ["0", "1", "2"]


# In streams.


def test_a_stream_answers_in_the_order_of_its_requests(client: triton.InferenceServerClient) -> None:
    arrived, callback = collected()
    client.start_stream(callback)
    for i in range(40):  # more than are worked on at a time
        client.async_stream_infer("thumbnail", [images(FILES if i % 3 else FILES[:1])], request_id=str(i))
    answers = [arrived.get(timeout=30) for _ in range(40)]
    client.stop_stream()
    assert [error for _, error in answers] == [None] * 40
    assert [result.get_response().id for result, _ in answers] == [str(i) for i in range(40)]
    assert [result.as_numpy("PIXELS").shape[0] for result, _ in answers] == [3 if i % 3 else 1 for i in range(40)]


def test_an_error_in_a_stream_is_a_message_and_the_stream_goes_on(client: triton.InferenceServerClient) -> None:
    arrived, callback = collected()
    client.start_stream(callback)
    for model in ("thumbnail", "no_such", "thumbnail"):
        client.async_stream_infer(model, [images(FILES)])
    first, second, third = (arrived.get(timeout=30) for _ in range(3))
    client.stop_stream()
    assert first[1] is None
    assert third[1] is None
    assert "no pipeline named 'no_such'" in str(second[1])


def test_an_error_says_which_request_of_the_stream_it_was(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    requests = [message(FILES), message([BROKEN], request_id="bad"), message(FILES)]
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=30))
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
    assert answers[1].infer_response.id == "bad"


def test_a_stream_ends_with_a_status_where_the_client_asks_for_that(
    stub: service_pb2_grpc.GRPCInferenceServiceStub,
) -> None:
    requests = [message(FILES, request_id="good"), message(FILES, "no_such"), message(FILES)]
    answers = stub.ModelStreamInfer(iter(requests), timeout=30, metadata=(("triton_grpc_error", "true"),))
    assert next(answers).infer_response.id == "good"
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "no pipeline named 'no_such'" in caught.value.details()


def test_the_last_response_is_marked_where_the_client_asks_for_that(client: triton.InferenceServerClient) -> None:
    arrived, callback = collected()
    client.start_stream(callback)
    client.async_stream_infer("thumbnail", [images(FILES)], enable_empty_final_response=True)
    client.async_stream_infer("thumbnail", [images(FILES)])
    (marked, _), (plain, _) = (arrived.get(timeout=30) for _ in range(2))
    client.stop_stream()
    assert marked.get_response().parameters["triton_final_response"].bool_param
    assert "triton_final_response" not in plain.get_response().parameters
