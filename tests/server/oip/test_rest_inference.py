"""Inference over REST as tritonclient asks for it: torchvision's pixels, bit for bit, and each sample's own errors."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

from augserve import Client
from augserve.wire import Finish, read_boxes, read_labels, read_npy, write_npy_header
from clips import make_animation, make_frames
from factories import encode_picture, make_file, make_image, make_picture
from serving import Live
from tritons import outputs, refused, strings, tensor, theirs

SIZES = ((60, 80), (50, 50), (90, 41))
FILES = [make_file("PNG", size) for size in SIZES]
BAD = b"\xff\xd8\xff no photograph \x80"

Stock = triton.InferenceServerClient


def expected(name: str, seed: int = 7, views: int = 1) -> np.ndarray[Any, Any]:
    return np.stack([theirs(name, size, seed + i * views + v) for i, size in enumerate(SIZES) for v in range(views)])


def test_pixels_are_torchvisions_and_the_sdks(client: Stock, live: Live) -> None:
    result = client.infer("train", [strings("IMAGE", FILES)], parameters={"seed": 7}, request_id="mine")
    pixels = result.as_numpy("PIXELS")
    assert np.array_equal(pixels, expected("train"))
    with Client(live.url) as sdk:
        assert np.array_equal(pixels, np.stack([*sdk.augment("train", FILES, seed=7)]))
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("train", "1", "mine")
    assert result.as_numpy("STATUS").tolist() == [0, 0, 0]
    assert result.as_numpy("SHAPES").tolist() == [[3, 32, 32]] * 3
    assert {output["name"] for output in response["outputs"]} == {"PIXELS", "STATUS", "SHAPES"}
    detail = httpx.get(f"{live.url}/v1/pipelines/train").json()
    assert response["parameters"]["pipeline_sha256"] == detail["fingerprint"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_requests_are_taken(client: Stock, encoding: str) -> None:
    result = client.infer(
        "train", [strings("IMAGE", FILES)], parameters={"seed": 7}, request_compression_algorithm=encoding
    )
    assert np.array_equal(result.as_numpy("PIXELS"), expected("train"))


def test_an_answer_is_not_compressed_unless_it_is_allowed(client: Stock) -> None:
    result = client.infer(
        "train", [strings("IMAGE", FILES)], parameters={"seed": 7}, response_compression_algorithm="gzip"
    )
    assert np.array_equal(result.as_numpy("PIXELS"), expected("train"))


def test_the_asynchronous_client_gets_the_same(live: Live) -> None:
    async def ask() -> Any:
        async with triton_aio.InferenceServerClient(live.url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_model_ready("train", "1")
            inputs = [strings("IMAGE", FILES)]
            return await client.infer("train", inputs, parameters={"seed": 7}, request_compression_algorithm="gzip")

    assert np.array_equal(asyncio.run(ask()).as_numpy("PIXELS"), expected("train"))


def test_calls_in_the_background_are_answered(client: Stock) -> None:
    calls = [client.async_infer("train", [strings("IMAGE", FILES)], parameters={"seed": 7}) for _ in range(3)]
    assert all(np.array_equal(call.get_result().as_numpy("PIXELS"), expected("train")) for call in calls)


def test_each_sample_has_its_own_seed(client: Stock) -> None:
    seeds = [5, 2**63 - 1, 5]
    for shape in ((3,), (3, 1)):
        inputs = [strings("IMAGE", FILES), tensor("SEED", np.array(seeds, np.int64).reshape(shape))]
        result = client.infer("train", inputs)
        wanted = [theirs("train", size, seed) for size, seed in zip(SIZES, seeds, strict=True)]
        assert np.array_equal(result.as_numpy("PIXELS"), np.stack(wanted))
        assert result.get_response()["parameters"]["seed"] == 5


def test_a_seed_that_is_not_given_is_told(client: Stock) -> None:
    first = client.infer("train", [strings("IMAGE", FILES)])
    seed = first.get_response()["parameters"]["seed"]
    assert np.array_equal(first.as_numpy("PIXELS"), expected("train", seed))


def test_views_follow_one_another(client: Stock) -> None:
    result = client.infer("train", [strings("IMAGE", FILES)], parameters={"seed": 7, "views": 2})
    assert np.array_equal(result.as_numpy("PIXELS"), expected("train", views=2))
    seeds = tensor("SEED", np.array([3, 9, 4], np.int64))
    result = client.infer("train", [strings("IMAGE", FILES), seeds], parameters={"views": 2})
    wanted = [theirs("train", size, seed + v) for size, seed in zip(SIZES, (3, 9, 4), strict=True) for v in range(2)]
    assert np.array_equal(result.as_numpy("PIXELS"), np.stack(wanted))


def test_images_come_as_rows_of_bytes_too(client: Stock) -> None:
    files = [make_file(format, (60, 80)) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")]
    rows = np.zeros((len(files), max(map(len, files)) + 5), np.uint8)
    for row, file in zip(rows, files, strict=True):
        row[: len(file)] = np.frombuffer(file, np.uint8)
    padded, plain = (
        client.infer("train", [each], parameters={"seed": 7}).as_numpy("PIXELS")
        for each in (tensor("IMAGE", rows), strings("IMAGE", files))
    )
    assert np.array_equal(padded, plain)
    column = tensor("IMAGE", np.array(files, np.object_).reshape(-1, 1))
    assert np.array_equal(client.infer("train", [column], parameters={"seed": 7}).as_numpy("PIXELS"), plain)


@pytest.mark.parametrize("binary", [True, False])
def test_images_come_as_pixels_too(client: Stock, binary: bool) -> None:
    pixels = np.stack([make_image((20, 24), name=name).numpy() for name in ("china", "flower")])
    result = client.infer("train", [tensor("IMAGE_RAW", pixels, binary=binary)], parameters={"seed": 7})
    wanted = [theirs("train", (20, 24), 7 + i, name) for i, name in enumerate(("china", "flower"))]
    assert np.array_equal(result.as_numpy("PIXELS"), np.stack(wanted))
    gray = client.infer("gray", [tensor("IMAGE_RAW", pixels[:, :1])], parameters={"seed": 7})
    assert gray.as_numpy("PIXELS").shape == (2, 1, 20, 24)
    with refused(400, "allowed: UINT8 of shape [N, 1, H, W]"):
        client.infer("gray", [tensor("IMAGE_RAW", pixels)])


def test_results_of_several_sizes_are_filled_up_with_zeros(client: Stock) -> None:
    result = client.infer("ragged", [strings("IMAGE", FILES)], parameters={"seed": 7})
    pixels, shapes = result.as_numpy("PIXELS"), result.as_numpy("SHAPES")
    assert pixels.shape == (3, 3, 90, 80)
    assert shapes.tolist() == [[3, *size] for size in SIZES]
    for i, (height, width) in enumerate(SIZES):
        assert np.array_equal(pixels[i, :, :height, :width], theirs("ragged", (height, width), 7 + i))
        assert not pixels[i, :, height:].any()
        assert not pixels[i, :, :, width:].any()


def test_a_bad_image_fails_the_request_unless_told_otherwise(client: Stock) -> None:
    with refused(400, "sample 1: the JPEG image"):
        client.infer("train", [strings("IMAGE", [FILES[0], BAD, FILES[2]])])


@pytest.mark.parametrize("name", ["train", "ragged"])
@pytest.mark.parametrize("on_error", ["skip", "fill"])
def test_a_bad_image_fails_alone(client: Stock, name: str, on_error: str) -> None:
    files = [FILES[0], BAD, FILES[2]]
    parameters = {"seed": 7, "on_error": on_error}
    result = client.infer(name, [strings("IMAGE", files)], parameters=parameters)
    assert result.as_numpy("STATUS").tolist() == [0, 422, 0]
    errors = result.as_numpy("ERRORS").tolist()
    assert (errors[0], errors[2]) == (b"", b"")
    assert b"JPEG" in errors[1]
    assert result.get_response()["parameters"]["failed"] == 1
    pixels, shapes = result.as_numpy("PIXELS"), result.as_numpy("SHAPES")
    places = (0, 1) if on_error == "skip" else (0, 2)
    assert len(pixels) == len(shapes) == len(places) + (on_error == "fill")
    for place, i in zip(places, (0, 2), strict=True):
        wanted = theirs(name, SIZES[i], 7 + i)
        assert shapes[place].tolist() == list(wanted.shape)
        assert np.array_equal(pixels[place][tuple(slice(side) for side in wanted.shape)], wanted)
    if on_error == "fill":
        assert not pixels[1].any()
        assert not shapes[1].any()


def test_where_every_image_is_bad_there_are_no_pixels(client: Stock) -> None:
    for on_error, shape in (("skip", (0, 3, 32, 32)), ("fill", (2, 3, 32, 32))):
        result = client.infer("train", [strings("IMAGE", [BAD, b""])], parameters={"on_error": on_error})
        assert result.as_numpy("PIXELS").shape == shape
        assert not result.as_numpy("PIXELS").any()
        assert (result.as_numpy("STATUS") >= 400).all()


def test_a_request_of_no_images_has_no_results(client: Stock) -> None:
    result = client.infer("train", [strings("IMAGE", []), tensor("SEED", np.zeros(0, np.int64))])
    assert result.as_numpy("PIXELS").shape == (0, 3, 32, 32)
    assert result.as_numpy("STATUS").shape == (0,)
    raw = client.infer("train", [tensor("IMAGE_RAW", np.zeros((0, 3, 5, 5), np.uint8))])
    assert raw.as_numpy("PIXELS").shape == (0, 3, 32, 32)


def test_bytes_come_in_place_of_floats(client: Stock) -> None:
    inputs = [strings("IMAGE", FILES)]
    result = client.infer("train", inputs, parameters={"seed": 7, "wire": "uint8"})
    pixels = result.as_numpy("PIXELS")
    assert pixels.dtype == np.uint8
    finish = Finish.read(result.get_response()["parameters"]["finish"])
    assert np.array_equal(finish.to_numpy(pixels), expected("train"))


@pytest.mark.parametrize("name", ["output_dtype", "dtype"])
def test_floats_come_in_another_dtype(client: Stock, name: str) -> None:
    result = client.infer("train", [strings("IMAGE", FILES)], parameters={"seed": 7, name: "float16"})
    assert result.as_numpy("PIXELS").dtype == np.float16
    assert np.array_equal(result.as_numpy("PIXELS"), expected("train").astype(np.float16))
    result = client.infer("train", [strings("IMAGE", FILES)], parameters={"seed": 7, name: "bfloat16"})
    assert result.get_output("PIXELS")["datatype"] == "BF16"
    assert np.allclose(result.as_numpy("PIXELS"), expected("train"), rtol=1 / 128)


def test_results_come_encoded(client: Stock) -> None:
    asked = outputs("ENCODED", "STATUS")
    for format, reader in (("png", None), ("npy", read_npy)):
        parameters = {"seed": 7, "format": format}
        result = client.infer("ragged", [strings("IMAGE", FILES)], outputs=asked, parameters=parameters)
        for i, encoded in enumerate(result.as_numpy("ENCODED")):
            wanted = theirs("ragged", SIZES[i], 7 + i)
            if reader is not None:
                assert np.array_equal(reader(encoded), wanted)
            assert encoded.startswith(b"\x89PNG" if format == "png" else b"\x93NUMPY")
    with refused(400, "format is"):
        client.infer("train", [strings("IMAGE", FILES)], outputs=asked, parameters={"format": "png"})


def test_targets_go_along(client: Stock) -> None:
    size = (60, 80)
    mask = make_picture("china", size, "L")
    inputs = [
        strings("IMAGE", [make_file("PNG", size)] * 2),
        strings("BOXES", ["[[1, 2, 30, 40]]", ""]),
        strings("MASKS", [make_file("PNG", size, "L"), b""]),
        strings("KEYPOINTS", ["[[3, 4]]", ""]),
        strings("LABELS", ["[9]", "[8]"]),
    ]
    result = client.infer("ragged", inputs, parameters={"seed": 7, "params": True})
    boxes, labels = result.as_numpy("BOXES"), result.as_numpy("LABELS")
    records = [json.loads(record) for record in result.as_numpy("RECIPE")]
    flipped = theirs("ragged", size, 7)[0, 0, 0] != np.array(make_picture("china", size))[0, 0, 0]
    assert read_boxes(boxes[0]).values.tolist() == [[1, 20, 30, 58] if flipped else [1, 2, 30, 40]]
    assert boxes[1] == b""
    assert [read_labels(each).tolist() for each in labels] == [[9], [8]]
    assert result.as_numpy("MASKS")[0].startswith(b"\x89PNG")
    assert [record["seed"] for record in records] == [7, 8]
    assert np.array(mask).shape == size
    assert np.array_equal(result.as_numpy("PIXELS")[1], theirs("ragged", size, 8))
    pixels = np.array(make_picture("china", size)).transpose(2, 0, 1)[None]
    raw = client.infer("ragged", [tensor("IMAGE_RAW", pixels), strings("BOXES", ["[[1, 2, 30, 40]]"])])
    assert read_boxes(raw.as_numpy("BOXES")[0]).values.shape == (1, 4)


def test_boxes_as_npy_say_their_format_in_a_parameter(http: httpx.Client) -> None:
    boxes = np.array([[1, 2, 10, 10]], np.float32)
    array = write_npy_header("float32", boxes.shape) + boxes.tobytes()
    blobs = [len(each).to_bytes(4, "little") + each for each in (FILES[0], array)]
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(blob), **extra}}
        for name, blob, extra in zip(("IMAGE", "BOXES"), blobs, ({}, {"format": "XYWH"}), strict=True)
    ]
    head = json.dumps({"inputs": inputs, "outputs": [{"name": "BOXES"}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = http.post("/v2/models/ragged/infer", content=head + b"".join(blobs), headers=headers)
    assert json.loads(response.json()["outputs"][0]["data"][0])["format"] == "XYWH"


def test_clips_come_back_as_clips(client: Stock) -> None:
    frames = make_frames(3)
    clip = make_animation("PNG", frames)
    encoded = [encode_picture(frame, "PNG") for frame in frames]
    rows = np.array([[*encoded, b""], [*encoded[:2], b"", b""]], np.object_)
    one = client.infer("ragged", [strings("CLIP", [clip])], parameters={"seed": 7}).as_numpy("CLIP")
    assert one.shape == (1, 3, 3, 48, 64)
    several = client.infer("ragged", [tensor("FRAMES", rows)], parameters={"seed": 7})
    assert several.as_numpy("CLIP").shape == (2, 3, 3, 48, 64)
    assert several.as_numpy("SHAPES").tolist() == [[3, 3, 48, 64], [2, 3, 48, 64]]
    assert np.array_equal(several.as_numpy("CLIP")[0], one[0])
    assert not several.as_numpy("CLIP")[1, 2].any()


def test_mixed_labels_come_back(client: Stock) -> None:
    inputs = [strings("IMAGE", FILES), strings("LABELS", ["1", "2", "3"])]
    result = client.infer("mix", inputs, parameters={"seed": 7})
    assert [read_labels(each).shape for each in result.as_numpy("LABELS")] == [(10,)] * 3
    with refused(400, "sample 0: labels: pipeline 'mix' mixes labels"):
        client.infer("mix", inputs[:1])


def test_an_image_alone_is_a_request(http: httpx.Client) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    response = http.post("/v2/models/train/infer?anything=goes", content=FILES[0], headers=headers)
    length = int(response.headers["inference-header-content-length"])
    head = json.loads(response.content[:length])
    pixels = np.frombuffer(response.content[length:], "<f4", 3 * 32 * 32).reshape(3, 32, 32)
    assert np.array_equal(pixels, theirs("train", SIZES[0], head["parameters"]["seed"]))


def test_the_pixels_can_be_numbers_of_json(client: Stock) -> None:
    asked = outputs("PIXELS", "STATUS", binary=False)
    result = client.infer("train", [strings("IMAGE", FILES)], outputs=asked, parameters={"seed": 7})
    assert np.array_equal(result.as_numpy("PIXELS"), expected("train"))
    with refused(400, "FP16, which cannot be sent as JSON"):
        client.infer("train", [strings("IMAGE", FILES)], outputs=asked, parameters={"dtype": "float16"})


def test_large_tensors_are_not_sent_as_json(client: Stock) -> None:
    big = strings("IMAGE", [make_file("JPEG", (1200, 1300))])
    with refused(413, "as JSON; ask for binary data"):
        client.infer("ragged", [big], outputs=outputs("PIXELS", binary=False))


@pytest.mark.parametrize("version", ["", "1"])
def test_the_latest_version_is_there_alone(client: Stock, version: str) -> None:
    assert client.infer("train", [strings("IMAGE", FILES)], version).as_numpy("STATUS").tolist() == [0, 0, 0]
    with refused(404, "there is no version '2' of pipeline 'train'; there is 1"):
        client.infer("train", [strings("IMAGE", FILES)], "2")


@pytest.mark.parametrize(
    ("inputs", "parameters", "status", "words"),
    [
        ([], {}, 400, "exactly one of IMAGE, IMAGE_RAW, CLIP, FRAMES is needed; there is none"),
        ([strings("IMAGE", FILES), strings("CLIP", FILES)], {}, 400, "there is IMAGE and CLIP"),
        ([strings("IMAG", FILES)], {}, 400, "did you mean 'IMAGE'?"),
        ([tensor("IMAGE", np.zeros((1, 2), np.float32))], {}, 400, "IMAGE' is FP32 of shape [1, 2]"),
        ([strings("IMAGE", FILES), strings("BOXES", ["[]"])], {}, 400, "'BOXES' is BYTES of shape [1]; allowed"),
        ([strings("IMAGE", FILES), tensor("SEED", np.array([1, 2, -3]))], {}, 400, "has -3; allowed: 0 to"),
        ([strings("IMAGE", FILES), tensor("SEED", np.array([1, 2, 3.0]))], {}, 400, "allowed: INT64 of shape [3]"),
        ([strings("IMAGE", FILES * 100)], {}, 413, "more than 256 images"),
        ([strings("IMAGE", FILES)], {"sede": 1}, 400, "there is no parameter 'sede'; did you mean 'seed'?"),
        ([strings("IMAGE", FILES)], {"seed": -1}, 400, "seed is '-1'"),
        ([strings("IMAGE", FILES)], {"views": 65}, 400, "an integer from 1 to 64"),
        ([strings("IMAGE", FILES)], {"views": True}, 400, "an integer from 1 to 64"),
        ([strings("IMAGE", FILES)], {"on_error": "ignore"}, 400, "fail or skip or fill"),
        ([strings("IMAGE", FILES)], {"dtype": "float16", "output_dtype": "float16"}, 400, "one of its two names"),
        ([strings("IMAGE", FILES)], {"params": 1}, 400, "true or false"),
    ],
)
def test_what_cannot_be_is_refused(
    client: Stock, inputs: list[Any], parameters: dict[str, Any], status: int, words: str
) -> None:
    with refused(status, words):
        client.infer("train", inputs, parameters=parameters)


def test_outputs_that_are_not_there_are_refused(client: Stock) -> None:
    with refused(400, "no output 'BOXES' of these inputs"):
        client.infer("train", [strings("IMAGE", FILES)], outputs=outputs("BOXES"))


def test_outputs_are_not_classified(client: Stock) -> None:
    with refused(400, "output 'PIXELS' has parameter 'classification'; allowed: binary_data"):
        asked = [triton.InferRequestedOutput("PIXELS", class_count=2)]
        client.infer("train", [strings("IMAGE", FILES)], outputs=asked)


def test_shared_memory_that_is_not_enabled_is_refused(client: Stock) -> None:
    image = triton.InferInput("IMAGE", [1], "BYTES")
    image.set_shared_memory("region", 100)
    with refused(501, "shared memory is not enabled"):
        client.infer("train", [image])


def test_the_parameters_of_the_protocol_are_taken(client: Stock) -> None:
    result = client.infer(
        "train", [strings("IMAGE", FILES)], sequence_id=5, sequence_start=True, priority=2, timeout=30_000_000
    )
    assert result.as_numpy("STATUS").tolist() == [0, 0, 0]


def test_a_deadline_is_kept(client: Stock) -> None:
    with refused(504, "was not ready within 0.001 ms"):
        client.infer("train", [strings("IMAGE", FILES)], timeout=1)
