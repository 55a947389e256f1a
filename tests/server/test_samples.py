"""Samples with targets and clips over a socket: torchvision's pixels and torchvision's targets, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from augserve.wire import (
    FAILED_HEADER,
    INDEX_HEADER,
    JSON,
    NPY,
    PNG,
    PROBLEM,
    SAFETENSORS,
    SEED_HEADER,
    Archive,
    Part,
    read_archive,
    read_boxes,
    read_keypoints,
    read_labels,
    read_multipart,
    read_npy,
)
from clips import frames_by_pillow, frames_by_pyav, make_animation, make_frames, make_video
from factories import encode_picture, make_file, make_picture
from oracle import tv_tensors, v2
from serving import Live, run_server

SIZE = (96, 128)
CROP = """
transforms:
  - RandomResizedCrop: {size: [40, 48]}
  - RandomHorizontalFlip
"""
DETECTION = """
transforms:
  - RandomHorizontalFlip
  - RandomAffine: {degrees: 20, translate: [0.1, 0.1], scale: [0.8, 1.2]}
  - Resize: {size: 80}
  - ClampBoundingBoxes
"""
FLOATS = """
transforms:
  - RandomVerticalFlip
  - ToDtype: {dtype: {Image: float32, Video: float32, others: null}, scale: true}
"""
THEIRS: Mapping[str, Any] = {
    "crop": v2.Compose([v2.RandomResizedCrop((40, 48)), v2.RandomHorizontalFlip()]),
    "detection": v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)),
            v2.Resize(80),
            v2.ClampBoundingBoxes(),
        ]
    ),
    "floats": v2.Compose(
        [
            v2.RandomVerticalFlip(),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Video: torch.float32, "others": None}, scale=True),
        ]
    ),
}

BOXES = [[10.0, 20.0, 50.0, 60.5], [0.0, 0.0, 128.0, 96.0], [100.25, 3.0, 120.0, 90.0]]
POINTS = [[[5.0, 6.0], [70.5, 80.25]], [[127.0, 95.0], [0.0, 0.0]]]

Parts = list[tuple[str, tuple[str, bytes, str]]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in (("crop", CROP), ("detection", DETECTION), ("floats", FLOATS)):
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder) as server:
        yield server


def part(name: str, data: bytes, content_type: str = "application/octet-stream") -> Parts:
    return [(name, (name, data, content_type))]


def npy(values: Any) -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


def post(client: httpx.Client, pipeline: str, parts: Parts, accept: str = SAFETENSORS, **query: Any) -> httpx.Response:
    response = client.post(
        f"/v1/augment/{pipeline}", params={"seed": 5, **query}, files=parts, headers={"Accept": accept}
    )
    assert response.status_code == 200, response.text
    return response


def theirs(pipeline: str, seed: int, **leaves: Any) -> dict[str, Any]:
    """What torchvision makes of a sample under the seed."""
    torch.manual_seed(seed)
    found: dict[str, Any] = THEIRS[pipeline](leaves)
    return found


def their_image(size: tuple[int, int] = SIZE, name: str = "china") -> Any:
    return tv_tensors.Image(np.array(make_picture(name, size)).transpose(2, 0, 1))


def their_boxes(data: Any = BOXES, format: str = "XYXY", size: tuple[int, int] = SIZE) -> Any:
    return tv_tensors.BoundingBoxes(data, format=format, canvas_size=size, dtype=torch.float32)


def check_file(file: Archive, expected: Mapping[str, Any]) -> None:
    """Every tensor of a result is torchvision's, of its dtype, and its metadata say what torchvision's do."""
    assert set(file.tensors) == set(expected)
    for name, leaf in expected.items():
        found = torch.from_numpy(file.tensors[name].to_numpy().copy())
        assert found.dtype == leaf.dtype, name
        assert torch.equal(found, leaf.as_subclass(torch.Tensor)), name
    if "boxes" in expected:
        assert file.metadata["boxes_format"] == expected["boxes"].format.value
        assert file.metadata["clamping_mode"] == expected["boxes"].clamping_mode
    for name in {"boxes", "keypoints"} & expected.keys():
        assert json.loads(file.metadata["canvas_size"]) == list(expected[name].canvas_size)


def files_of(response: httpx.Response) -> list[Archive]:
    """The safetensors file of each result."""
    if response.headers["content-type"] == SAFETENSORS:
        return [read_archive(response.content)]
    return [read_archive(part.body) for part in read_multipart(response.content, response.headers["content-type"])]


def named(parts: list[Part]) -> dict[str, Part]:
    return {part.name or "": part for part in parts}


PHOTOGRAPH = make_file("PNG", SIZE)
MASK = make_picture("coffee", SIZE, "L").quantize(7)  # palette indices 0 to 6
INSTANCES = np.stack([np.asarray(MASK) == i for i in range(3)])

SAMPLE: Parts = [
    *part("image", PHOTOGRAPH),
    *part("boxes", json.dumps(BOXES).encode(), JSON),
    *part("masks", encode_picture(MASK, "PNG")),
    *part("keypoints", json.dumps(POINTS).encode()),
    *part("labels", b"[3, 1, 2]"),
]


def their_sample(**others: Any) -> dict[str, Any]:
    leaves = {
        "image": their_image(),
        "boxes": their_boxes(),
        "masks": tv_tensors.Mask(np.array(MASK)),
        "keypoints": tv_tensors.KeyPoints(POINTS, canvas_size=SIZE),
        "labels": torch.tensor([3, 1, 2]),
    }
    return {**leaves, **others}


@pytest.mark.parametrize("pipeline", ["crop", "detection", "floats"])
def test_a_sample_is_torchvisions_in_all_its_parts(client: httpx.Client, pipeline: str) -> None:
    for seed in range(6):
        response = post(client, pipeline, SAMPLE, seed=seed)
        assert response.headers["content-type"] == SAFETENSORS
        (file,) = files_of(response)
        check_file(file, theirs(pipeline, seed, **their_sample()))


def test_views_share_the_sample_and_have_seeds_of_their_own(client: httpx.Client) -> None:
    response = post(client, "detection", SAMPLE, seed=20, views=3)
    parts = read_multipart(response.content, response.headers["content-type"])
    assert [part.headers[SEED_HEADER.lower()] for part in parts] == ["20", "21", "22"]
    assert [part.headers[INDEX_HEADER.lower()] for part in parts] == ["0", "1", "2"]
    for view, file in enumerate(files_of(response)):
        check_file(file, theirs("detection", 20 + view, **their_sample()))


@pytest.mark.parametrize("format", ["XYXY", "XYWH", "CXCYWH", "XYWHR", "CXCYWHR", "XYXYXYXY"])
def test_boxes_of_every_format(client: httpx.Client, format: str) -> None:
    columns = {"XYWHR": 5, "CXCYWHR": 5, "XYXYXYXY": 8}.get(format, 4)
    data = np.random.default_rng(1).uniform(5, 60, (4, columns)).astype(np.float32)
    expected = theirs("detection", 5, image=their_image(), boxes=their_boxes(data, format))
    document = json.dumps({"format": format, "data": data.tolist()}).encode()
    for boxes in (part("boxes", document, JSON), part("boxes", npy(data), f"{NPY}; format={format}")):
        (file,) = files_of(post(client, "detection", [*part("image", PHOTOGRAPH), *boxes]))
        check_file(file, expected)


def test_dtypes_and_clamping_modes_are_kept(client: httpx.Client) -> None:
    data = [[10, 20, 50, 60]]
    document = {"data": data, "dtype": "int64", "clamping_mode": "hard"}
    (file,) = files_of(
        post(client, "crop", [*part("image", PHOTOGRAPH), *part("boxes", json.dumps(document).encode())])
    )
    boxes = tv_tensors.BoundingBoxes(torch.tensor(data), format="XYXY", canvas_size=SIZE, clamping_mode="hard")
    check_file(file, theirs("crop", 5, image=their_image(), boxes=boxes))


@pytest.mark.parametrize("boxes", [b"[]", b'{"data": [], "format": "CXCYWHR"}', npy(np.zeros((0, 4), np.float32))])
def test_there_may_be_no_boxes_at_all(client: httpx.Client, boxes: bytes) -> None:
    (file,) = files_of(post(client, "crop", [*part("image", PHOTOGRAPH), *part("boxes", boxes)]))
    assert file.tensors["boxes"].shape == (0, 5 if b"CXCYWHR" in boxes else 4)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "int64"])
def test_masks_of_instances_keep_their_type(client: httpx.Client, dtype: str) -> None:
    masks = INSTANCES.astype(dtype)
    (file,) = files_of(post(client, "detection", [*part("image", PHOTOGRAPH), *part("masks", npy(masks))]))
    check_file(file, theirs("detection", 5, image=their_image(), masks=tv_tensors.Mask(torch.from_numpy(masks))))


def test_a_mask_of_sixteen_bits_keeps_its_numbers(client: httpx.Client) -> None:
    numbers = np.linspace(0, 65535, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE)
    mask = part("masks", encode_picture(Image.fromarray(numbers), "PNG"))
    expected = theirs("crop", 5, image=their_image(), masks=tv_tensors.Mask(torch.from_numpy(numbers.astype(np.int32))))
    (file,) = files_of(post(client, "crop", [*part("image", PHOTOGRAPH), *mask]))
    check_file(file, expected)
    response = post(client, "crop", [*part("image", PHOTOGRAPH), *mask], accept=PNG)
    found = named(read_multipart(response.content, response.headers["content-type"]))["masks"]
    assert found.media_type == PNG
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(found.body))), expected["masks"].numpy())


def test_targets_lie_on_the_upright_image(client: httpx.Client) -> None:
    data = make_file("JPEG", SIZE, orientation=6, quality=95)
    upright = (SIZE[1], SIZE[0])
    pixels = np.rot90(np.array(Image.open(BytesIO(data))), -1).transpose(2, 0, 1).copy()
    (file,) = files_of(post(client, "detection", [*part("image", data), *part("boxes", b"[[1, 2, 90, 120]]")]))
    boxes = their_boxes([[1, 2, 90, 120]], size=upright)
    check_file(file, theirs("detection", 5, image=tv_tensors.Image(pixels), boxes=boxes))


def test_pictures_come_in_parts_beside_their_targets(client: httpx.Client) -> None:
    response = post(client, "detection", SAMPLE, accept=PNG)
    assert response.headers["content-type"].startswith("multipart/mixed; boundary=")
    parts = read_multipart(response.content, response.headers["content-type"])
    expected = theirs("detection", 5, **their_sample())
    assert [part.name for part in parts] == ["image", "boxes", "masks", "keypoints", "labels"]
    assert [part.media_type for part in parts] == [PNG, JSON, PNG, JSON, JSON]
    assert {part.headers[INDEX_HEADER.lower()] for part in parts} == {"0"}
    found = named(parts)
    pixels = np.asarray(Image.open(BytesIO(found["image"].body)))
    np.testing.assert_array_equal(pixels, expected["image"].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(found["masks"].body))), expected["masks"].numpy())
    boxes, keypoints = read_boxes(found["boxes"].body), read_keypoints(found["keypoints"].body)
    np.testing.assert_array_equal(boxes.values, expected["boxes"].numpy())
    assert (boxes.format, boxes.canvas_size) == ("XYXY", expected["boxes"].canvas_size)
    np.testing.assert_array_equal(keypoints.values, expected["keypoints"].numpy())
    assert keypoints.canvas_size == expected["keypoints"].canvas_size
    np.testing.assert_array_equal(read_labels(found["labels"].body), [3, 1, 2])


def test_floats_come_as_npy_beside_their_targets(client: httpx.Client) -> None:
    response = post(client, "floats", [*part("image", PHOTOGRAPH), *part("masks", npy(INSTANCES))], accept=NPY)
    found = named(read_multipart(response.content, response.headers["content-type"]))
    expected = theirs("floats", 5, image=their_image(), masks=tv_tensors.Mask(torch.from_numpy(INSTANCES)))
    np.testing.assert_array_equal(read_npy(found["image"].body), expected["image"].numpy())
    np.testing.assert_array_equal(read_npy(found["masks"].body), expected["masks"].numpy())


def test_samples_mix_with_plain_images_and_each_has_a_body_of_its_own(client: httpx.Client) -> None:
    parts = [
        *part("image[0]", PHOTOGRAPH),
        *part("boxes[1]", json.dumps(BOXES).encode()),
        *part("image[1]", PHOTOGRAPH),
        *part("labels[2]", b"7"),
        *part("image[2]", make_file("PNG", (50, 60), name="flower")),
    ]
    files = files_of(post(client, "crop", parts, seed=9))
    other = their_image((50, 60), "flower")
    check_file(files[0], theirs("crop", 9, image=their_image()))
    check_file(files[1], theirs("crop", 10, image=their_image(), boxes=their_boxes()))
    check_file(files[2], theirs("crop", 11, image=other, labels=torch.tensor(7)))


CLIP = make_frames(5)
STACKED = np.stack([np.asarray(frame) for frame in CLIP])


def their_video(frames: np.ndarray[Any, Any]) -> Any:
    return tv_tensors.Video(torch.from_numpy(frames).permute(0, 3, 1, 2))


@pytest.mark.parametrize("pipeline", ["crop", "detection", "floats"])
def test_frames_are_a_clip_with_one_draw_for_all(client: httpx.Client, pipeline: str) -> None:
    frames = [one for frame in CLIP for one in part("frame", encode_picture(frame, "PNG"))]
    boxes = their_boxes([[1, 2, 30, 40]], size=(48, 64))
    (file,) = files_of(post(client, pipeline, [*frames, *part("boxes", b"[[1, 2, 30, 40]]")]))
    check_file(file, theirs(pipeline, 5, image=their_video(STACKED), boxes=boxes))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animated_image_is_a_clip(client: httpx.Client, format: str) -> None:
    data = make_animation(format, CLIP)
    (file,) = files_of(post(client, "detection", part("clip", data)))
    check_file(file, theirs("detection", 5, image=their_video(frames_by_pillow(data))))


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")])
def test_a_video_is_a_clip(client: httpx.Client, container: str, codec: str) -> None:
    data = make_video(container, codec, CLIP)
    (file,) = files_of(post(client, "crop", part("clip", data)))
    assert file.tensors["image"].shape == (5, 3, 40, 48)
    check_file(file, theirs("crop", 5, image=their_video(frames_by_pyav(data))))


def test_a_clip_comes_back_frame_by_frame_as_pictures(live: Live, client: httpx.Client) -> None:
    before = live.metric("decoded_images_total")
    response = post(client, "crop", part("clip", make_animation("PNG", CLIP)), accept=PNG, params="true")
    assert live.metric("decoded_images_total") - before == 5
    parts = read_multipart(response.content, response.headers["content-type"])
    assert [part.name for part in parts] == ["frame"] * 5 + ["record"]
    expected = theirs("crop", 5, image=their_video(STACKED))["image"]
    for found, frame in zip(parts, expected, strict=False):
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(found.body))), frame.permute(1, 2, 0).numpy())
    whole = post(client, "crop", part("clip", make_animation("PNG", CLIP)), accept=NPY)
    (image,) = read_multipart(whole.content, whole.headers["content-type"])
    np.testing.assert_array_equal(read_npy(image.body), expected.numpy())


def test_a_clip_weighs_as_many_pixels_as_all_its_frames() -> None:
    with run_server(queue_megapixels=0.0151) as server:
        four, five = (make_animation("GIF", make_frames(count)) for count in (4, 5))
        taken = httpx.post(f"{server.url}/v1/augment/thumbnail", files=part("clip", four))
        refused = httpx.post(f"{server.url}/v1/augment/thumbnail", files=part("clip", five))
    assert taken.status_code == 200, taken.text
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (413, "too-much-work")
    assert refused.json()["value"]["pixels"] == 5 * 48 * 64


def test_a_bad_sample_fails_alone(client: httpx.Client) -> None:
    parts = [
        *part("image", PHOTOGRAPH),
        *part("boxes", b"[[1, 2, 3]]"),
        *SAMPLE,
        *part("clip", b"no clip"),
        *part("image", PHOTOGRAPH[:900]),
        *part("boxes", b"[]"),
    ]
    response = post(client, "crop", parts, seed=0)
    assert response.headers[FAILED_HEADER] == "3"
    found = read_multipart(response.content, response.headers["content-type"])
    assert [part.media_type for part in found] == [PROBLEM, SAFETENSORS, PROBLEM, PROBLEM]
    check_file(read_archive(found[1].body), theirs("crop", 1, **their_sample()))
    problems = [json.loads(bytes(found[i].body)) for i in (0, 2, 3)]
    slugs = [problem["type"].rpartition(":")[2] for problem in problems]
    assert slugs == ["target-invalid", "format-not-allowed", "image-truncated"]
    assert [problem["field"] for problem in problems] == ["boxes", "clip", "image"]
