"""Targets that are wrong: each says which, what and what is allowed, and its neighbours are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from augserve.wire import NPY, PROBLEM, SAFETENSORS, read_archive, read_multipart, write_npy_header
from clips import make_animation, make_frames, make_video
from factories import encode_picture, make_file, make_picture
from serving import Live, run_server

SIZE = (40, 50)
PHOTOGRAPH = make_file("PNG", SIZE)

Part = tuple[str, bytes, str]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "flip.yaml").write_text("transforms: [RandomHorizontalFlip]")
    (folder / "detection.yaml").write_text("transforms: [RandomIoUCrop, SanitizeBoundingBoxes]")
    (folder / "policy.yaml").write_text("transforms: [RandAugment]")
    with run_server(pipelines=folder, max_target_rows=20, max_clip_frames=4) as server:
        yield server


def npy(values: Any) -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.asarray(values), allow_pickle=True)
    return buffer.getvalue()


def post(client: httpx.Client, *parts: Part, pipeline: str = "flip") -> httpx.Response:
    files = [(name, ("x", data, content_type)) for name, data, content_type in parts]
    return client.post(f"/v1/augment/{pipeline}?seed=0", files=files, headers={"Accept": SAFETENSORS})


def part(name: str, data: bytes | object, content_type: str = "application/octet-stream") -> Part:
    return name, data if isinstance(data, bytes) else json.dumps(data).encode(), content_type


def refused_alone(client: httpx.Client, *parts: Part, pipeline: str = "flip") -> dict[str, Any]:
    """The problem of a sample between two good ones, which are answered."""
    good = (part("image", PHOTOGRAPH), part("labels", [1]), part("boxes", [[1, 2, 30, 40]]))
    response = post(client, *good, *parts, *good, pipeline=pipeline)
    assert response.status_code == 200, response.text
    found = read_multipart(response.content, response.headers["content-type"])
    assert [one.media_type for one in found] == [SAFETENSORS, PROBLEM, SAFETENSORS]
    assert read_archive(found[0].body).tensors["labels"].to_numpy().tolist() == [1]
    problem: dict[str, Any] = json.loads(bytes(found[1].body))
    assert problem["request_id"] == response.headers["augserve-request-id"]
    assert len(found[1].body) < 1500
    return problem


def npy_of(text: str) -> bytes:
    """An npy file with this text for a header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


WRONG: Mapping[str, tuple[Part, str]] = {
    "boxes that are no JSON": (part("boxes", b"[[1, 2, 3, 4]"), "not valid JSON"),
    "boxes with NaN": (part("boxes", b"[[1, 2, 3, NaN]]"), "not valid JSON"),
    "no bytes": (part("boxes", b""), "not valid JSON"),
    "a nest of lists": (part("boxes", b"[" * 5000), "not valid JSON"),
    "boxes of three numbers": (part("boxes", [[1, 2, 3]]), "boxes in XYXY are [N, 4], not [1, 3]"),
    "one box by itself": (part("boxes", [1, 2, 3, 4]), "boxes in XYXY are [N, 4], not [4]"),
    "rows of different lengths": (part("boxes", [[1, 2, 3, 4], [1]]), "not a regular array"),
    "text for a number": (part("boxes", [[1, 2, 3, "4"]]), "not numbers alone"),
    "an object for a number": (part("boxes", [[1, 2, 3, {}]]), "not numbers alone"),
    "an unknown format": (
        part("boxes", {"data": [[1, 2, 3, 4]], "format": "XXYY"}),
        "no box format 'XXYY'; there are XYXY",
    ),
    "an unknown member": (part("boxes", {"data": [], "color": 1}), "wrong at color"),
    "no data": (part("boxes", {"format": "XYXY"}), "wrong at data"),
    "an unknown dtype": (part("boxes", {"data": [[1, 2, 3, 4]], "dtype": "complex64"}), "complex64"),
    "a dtype that boxes do not have": (
        part("boxes", {"data": [[1, 2, 3, 4]], "dtype": "uint8"}),
        "boxes: of uint8; allowed: float32",
    ),
    "fractions as integers": (part("boxes", {"data": [[1, 2, 3, 4.5]], "dtype": "int64"}), "not all data are int64"),
    "rotated boxes of integers": (
        part("boxes", {"data": [[1, 2, 3, 4, 5]], "dtype": "int64", "format": "XYWHR"}),
        "rotated boxes are floats",
    ),
    "an unknown clamping mode": (part("boxes", {"data": [], "clamping_mode": "firm"}), "clamping_mode"),
    "a format for other columns": (
        part("boxes", npy(np.zeros((2, 5), np.float32)), f"{NPY}; format=XYXYXYXY"),
        "are [N, 8], not [2, 5]",
    ),
    "npy in name only": (part("boxes", b"[[1, 2, 3, 4]]", NPY), "npy: the body begins with"),
    "pickled objects": (part("boxes", npy(np.array([{}, 1], object))), "npy: "),
    "a structured array": (part("boxes", npy(np.zeros(2, [("x", "f4")]))), "npy: the header"),
    "a header with code in it": (part("boxes", npy_of("{'descr': __import__('os').system('id')}")), "npy: the header"),
    "an endless header": (
        part("boxes", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 5000),
        "npy: the header says it has",
    ),
    "an array that is not there": (part("boxes", write_npy_header("float32", (10**6, 4))), "take"),
    "more dimensions than there are": (
        part("keypoints", write_npy_header("float32", (0,) * 70)),
        "npy: numpy cannot hold",
    ),
    "points of three numbers": (part("keypoints", [[1, 2, 3]]), "keypoints are [..., 2], not [1, 3]"),
    "a number for points": (part("keypoints", 7), "keypoints are [..., 2], not []"),
    "labels with words": (part("labels", ["cat"]), "not numbers alone"),
    "labels that JSON cannot hold": (part("labels", [10**30, None, "x"]), "not numbers alone"),
    "labels of no type that torch has": (part("labels", npy(np.zeros(3, np.uint64))), "of uint64; allowed: int64"),
    "masks of floats": (part("masks", npy(np.zeros(SIZE, np.float32))), "masks are bool, uint8, int16"),
    "masks of four dimensions": (
        part("masks", npy(np.zeros((1, 1, *SIZE), np.uint8))),
        "masks are [H, W] or [N, H, W]",
    ),
    "a mask of another size": (
        part("masks", npy(np.zeros((50, 40), bool))),
        "they are 50 x 40 (height x width), and the upright image is 40 x 50",
    ),
    "a mask in PNG of another size": (part("masks", make_file("PNG", (41, 50), "L")), "they are 41 x 50"),
    "a mask of colours": (part("masks", make_file("PNG", SIZE)), "a PNG of colours"),
    "a mask in JPEG": (part("masks", make_file("JPEG", SIZE, "L")), "a mask is PNG or npy, not JPEG"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_target_that_is_wrong_fails_its_sample_alone(client: httpx.Client, case: str) -> None:
    target, words = WRONG[case]
    problem = refused_alone(client, part("image", PHOTOGRAPH), target)
    assert (problem["type"].rpartition(":")[2], problem["status"]) == ("target-invalid", 422)
    assert (problem["field"], problem["index"]) == (target[0], 1)
    assert problem["detail"].startswith(f"{target[0]}: ")
    assert words in problem["detail"]


TOO_LARGE: Mapping[str, tuple[Part, str, int]] = {
    "boxes": (part("boxes", [[1, 2, 3, 4]] * 21), "rows", 21),
    "boxes in npy": (part("boxes", npy(np.zeros((21, 4), np.float32))), "rows", 21),
    "keypoints": (part("keypoints", [[[1, 2]] * 11] * 2), "rows", 22),
    "labels": (part("labels", [1] * 21), "rows", 21),
    "masks": (part("masks", npy(np.zeros((21, *SIZE), bool))), "rows", 21),
    "JSON": (part("boxes", b"[[" + b" " * 5118 + b"]]"), "bytes", 5122),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_target_that_is_too_large_fails_its_sample_alone(client: httpx.Client, case: str) -> None:
    target, measure, value = TOO_LARGE[case]
    problem = refused_alone(client, part("image", PHOTOGRAPH), target)
    assert (problem["type"].rpartition(":")[2], problem["status"]) == ("target-too-large", 413)
    assert (problem["field"], problem["measure"], problem["value"]) == (target[0], measure, value)
    assert problem["limit"] == {"rows": 20, "bytes": 5120}[measure]


def test_as_many_rows_as_are_allowed_are_taken(client: httpx.Client) -> None:
    response = post(client, part("image", PHOTOGRAPH), part("boxes", [[1, 2, 3, 4]] * 20))
    assert read_archive(response.content).tensors["boxes"].shape == (20, 4)


@pytest.mark.parametrize(
    ("mask", "slug"),
    [
        (make_file("PNG", SIZE, "L")[:300], "image-truncated"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "image-corrupt"),
        (b"no mask", "format-not-allowed"),
    ],
)
def test_a_mask_that_does_not_decode_is_an_image_that_does_not(client: httpx.Client, mask: bytes, slug: str) -> None:
    problem = refused_alone(client, part("image", PHOTOGRAPH), part("masks", mask))
    assert (problem["type"].rpartition(":")[2], problem["field"]) == (slug, "masks")
    assert problem["detail"].startswith("masks: ")


def frames(*sizes: tuple[int, int]) -> list[Part]:
    return [part("frame", encode_picture(make_picture("coffee", size), "PNG")) for size in sizes]


CLIPS: Mapping[str, tuple[list[Part], str, str, str]] = {
    "frames of several sizes": (frames((9, 9), (9, 9), (9, 8)), "clip-invalid", "frame", "frame 2 is 9 x 8"),
    "a frame that is none": (
        [*frames((9, 9)), part("frame", b"x")],
        "format-not-allowed",
        "frame",
        "frame 1 of the clip: ",
    ),
    "a frame cut off": ([part("frame", PHOTOGRAPH[:900])], "image-truncated", "frame", "frame 0 of the clip: "),
    "an empty frame": ([part("frame", b"")], "empty-body", "frame", "frame 0 of the clip: "),
    "too many frames": (frames(*[(9, 9)] * 5), "clip-too-large", "clip", "5 frames or more; at most 4"),
    "an animation too long": (
        [part("clip", make_animation("GIF", make_frames(5)))],
        "clip-too-large",
        "clip",
        "5 frames or more",
    ),
    "a video too long": ([part("clip", make_video())], "clip-too-large", "clip", "5 frames or more; at most 4"),
    "a video cut off": ([part("clip", make_video()[:-9])], "clip-invalid", "clip", "ends before it is complete"),
    "no clip": (
        [part("clip", b"x" * 99)],
        "format-not-allowed",
        "clip",
        "allowed: GIF, WebP, PNG, AVIF, MP4, Matroska, AVI",
    ),
    "one picture": (
        [part("clip", make_file("JPEG", SIZE))],
        "format-not-allowed",
        "clip",
        "a JPEG file, which holds one",
    ),
    "an animation cut off": (
        [part("clip", make_animation("GIF", make_frames(2))[:-40])],
        "image-truncated",
        "clip",
        "the clip: ",
    ),
}


@pytest.mark.parametrize("case", CLIPS)
def test_a_clip_that_is_wrong_fails_alone(client: httpx.Client, case: str) -> None:
    parts, slug, field, words = CLIPS[case]
    problem = refused_alone(client, *parts)
    assert (problem["type"].rpartition(":")[2], problem["field"]) == (slug, field)
    assert words in problem["detail"]


def test_a_pipeline_says_which_targets_it_needs(client: httpx.Client) -> None:
    problem = refused_alone(client, part("image", PHOTOGRAPH), part("labels", [1]), pipeline="detection")
    assert problem["type"].rpartition(":")[2] == "image-unsuitable"
    assert "boxes" in problem["detail"]


def test_a_pipeline_says_which_targets_it_does_not_take(client: httpx.Client) -> None:
    response = post(client, part("image", PHOTOGRAPH), part("boxes", [[1, 2, 3, 4]]), pipeline="policy")
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (422, "image-unsuitable")
    assert "RandAugment does not act on BoundingBoxes" in response.json()["detail"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([part("boxes", [])], "part 0 of the form is named 'boxes', but no image stands before it"),
        (
            [part("image", PHOTOGRAPH), part("bboxes", [])],
            "is named 'bboxes'; allowed: image, clip, frame, boxes, masks",
        ),
        ([part("image[0]", PHOTOGRAPH), part("boxes", [])], "either all parts have an index or none"),
        ([part("image", PHOTOGRAPH), part("record", {})], "is named 'record'; allowed: image"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(client: httpx.Client, parts: list[Part], words: str) -> None:
    response = post(client, *parts)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (400, "body-malformed")
    assert words in response.json()["detail"]


def test_params_is_true_or_false(client: httpx.Client) -> None:
    response = client.post("/v1/augment/flip?params=maybe", content=PHOTOGRAPH)
    assert (response.status_code, response.json()["allowed"]) == (400, "true or false")
