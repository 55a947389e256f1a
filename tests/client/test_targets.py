"""What is sent of samples and clips: every number exactly, whatever it was given as."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_service import SmallSample

from augserve import Clip, InvalidInput, Sample, wire
from augserve.parcels import Parcel, read_parcel
from augserve_pipelines import tv_tensors
from factories import make_file, make_pixels
from oracle import tv_tensors as upstream

BOXES = [[1.5, 2.0, 3.0, 4.0], [0.1, 0.2, 5.0, 6.0]]


def received(item: Any) -> SmallSample:
    """A sample as a server reads it."""
    parcel = read_parcel(item)
    sample = SmallSample()
    for name, source in parcel.parts:
        body = b"".join(source.read())
        assert len(body) <= source.size_bytes
        sample.take(name, body, source.media_type)
    return sample


def encoded(masks: Any, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(masks).save(file, format)
    return file.getvalue()


def saved(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def sample(**targets: Any) -> Sample:
    return Sample(make_pixels(size=(7, 13)), **targets)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("as_given", [np.asarray, torch.as_tensor, np.asfortranarray])
def test_boxes_are_sent_as_they_are(dtype: str, as_given: Any) -> None:
    values = np.asarray(BOXES).astype(dtype)
    boxes = received(sample(boxes=as_given(values), box_format="CXCYWH")).boxes
    assert boxes.values.dtype == dtype
    assert np.array_equal(boxes.values, values)
    assert (boxes.format, boxes.clamping_mode) == ("CXCYWH", "soft")


def test_numbers_of_the_other_byte_order_arrive_too() -> None:
    values = np.asarray(BOXES, ">f4")
    assert np.array_equal(received(sample(boxes=values)).boxes.values, values)


@pytest.mark.parametrize("boxes", [BOXES, [tuple(box) for box in BOXES], [torch.tensor(box) for box in BOXES]])
def test_listed_boxes_are_float32(boxes: Any) -> None:
    values = received(sample(boxes=boxes)).boxes.values
    assert values.dtype == np.float32
    assert np.array_equal(values, np.asarray(BOXES, np.float32))


@pytest.mark.parametrize(("format", "columns"), wire.BOX_COLUMNS.items())
def test_an_empty_list_has_the_columns_of_its_format(format: Any, columns: int) -> None:
    boxes = received(sample(boxes=[], box_format=format, keypoints=[], labels=[]))
    assert boxes.boxes.values.shape == (0, columns)
    assert boxes.keypoints.shape == (0, 2)
    assert (boxes.labels.shape, boxes.labels.dtype) == ((0,), np.int64)


@pytest.mark.parametrize("library", [upstream, tv_tensors])
@pytest.mark.parametrize("format", wire.BOX_COLUMNS)
@pytest.mark.parametrize("mode", ["soft", "hard", None])
def test_tv_tensors_say_what_they_are(library: Any, format: Any, mode: Any) -> None:
    values = torch.rand(3, wire.BOX_COLUMNS[format])
    own = library.BoundingBoxes(values, format=format, canvas_size=(7, 13), clamping_mode=mode)
    for box_format in (None, format):
        boxes = received(sample(boxes=own, box_format=box_format)).boxes
        assert np.array_equal(boxes.values, values.numpy())
        assert (boxes.format, boxes.clamping_mode) == (format, mode)


@pytest.mark.parametrize("library", [upstream, tv_tensors])
def test_every_kind_of_tv_tensor_can_be_given(library: Any) -> None:
    pixels = make_pixels(size=(7, 13))
    masks = torch.randint(0, 2, (2, 7, 13), dtype=torch.bool)
    points = torch.rand(4, 2)
    got = received(
        Sample(
            library.Image(torch.as_tensor(pixels).permute(2, 0, 1)),
            masks=library.Mask(masks),
            keypoints=library.KeyPoints(points, canvas_size=(7, 13)),
        )
    )
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(got.frames[0]))), pixels)
    assert np.array_equal(got.masks, masks.numpy())
    assert np.array_equal(got.keypoints, points.numpy())


@pytest.mark.parametrize("dtype", wire.MASK_DTYPES)
@pytest.mark.parametrize("shape", [(7, 13), (3, 7, 13), (0, 7, 13)])
def test_masks_are_sent_as_they_are(dtype: str, shape: tuple[int, ...]) -> None:
    masks = np.random.default_rng(0).integers(-3 if dtype.startswith("int") else 0, 2, shape).astype(dtype)
    for given in (masks, torch.as_tensor(masks)):
        got = received(sample(masks=given)).masks
        assert got.dtype == dtype
        assert np.array_equal(got, masks)


def test_masks_may_be_files(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 256, (7, 13)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encoded(mask))
    np.save(tmp_path / "b.npy", mask)
    for given in (encoded(mask), saved(mask), tmp_path / "a.png", str(tmp_path / "b.npy"), bytearray(encoded(mask))):
        assert np.array_equal(received(sample(masks=given)).masks, mask)


def test_a_mask_is_what_a_picture_stores_and_not_what_it_shows() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (7, 13)).astype(np.uint8)
    palette = Image.new("P", (13, 7))
    palette.putdata(mask.ravel().tolist())
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    assert np.array_equal(received(sample(masks=palette)).masks, mask)
    deep = received(sample(masks=Image.fromarray(mask.astype(np.uint16) * 300))).masks
    assert deep.dtype == np.int32
    assert np.array_equal(deep, mask.astype(np.int32) * 300)
    assert received(sample(masks=Image.fromarray(mask > 1))).masks.dtype == bool


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [(3, "int64"), (1.5, "float32"), ([1, 2], "int64"), ([0.5, 1], "float32"), ([True], "bool"), ([[1], [2]], "int64")],
)
def test_listed_labels_become_what_torch_makes_of_them(labels: Any, dtype: str) -> None:
    got = received(sample(labels=labels)).labels
    assert got.dtype == dtype
    assert np.array_equal(got, labels)
    assert torch.as_tensor(labels).dtype == getattr(torch, dtype)


def test_keypoints_may_be_nested() -> None:
    points = np.random.default_rng(0).random((2, 3, 4, 2))
    got = received(sample(keypoints=points)).keypoints
    assert got.dtype == np.float64
    assert np.array_equal(got, points)
    assert received(sample(keypoints=points.tolist())).keypoints.dtype == np.float32


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"boxes": [1, 2, 3, 4]}, r"boxes in XYXY are \[N, 4\], not \[4\]"),
        ({"boxes": [[1, 2, 3]]}, r"boxes in XYXY are \[N, 4\], not \[1, 3\]"),
        ({"boxes": [[1, 2], [3]]}, "boxes are not regular"),
        ({"boxes": BOXES, "box_format": "XYWHR"}, r"boxes in XYWHR are \[N, 5\], not \[2, 4\]"),
        ({"boxes": BOXES, "box_format": "XXYY"}, "no box format 'XXYY'; there are XYXY, XYWH"),
        ({"boxes": BOXES, "clamping_mode": "firm"}, "clamping_mode is 'soft', 'hard' or None, not 'firm'"),
        ({"boxes": "boxes.npy"}, "boxes are numbers: .* not str"),
        ({"boxes": [["a"]]}, "boxes are numbers: .* not list"),
        ({"boxes": np.zeros((1, 4), complex)}, "boxes of complex128 do not travel"),
        ({"boxes": torch.zeros(1, 4, dtype=torch.bfloat16)}, r"a tensor of torch\.bfloat16 does not travel"),
        ({"keypoints": [[1, 2, 3]]}, r"keypoints are \[\.\.\., 2\], not \[1, 3\]"),
        ({"keypoints": 3}, r"keypoints are \[\.\.\., 2\], not \[\]"),
        ({"labels": ["cat"]}, "labels are numbers"),
        ({"labels": {"cat": 1}}, "labels are numbers: .* not dict"),
        ({"masks": np.zeros((7, 13))}, "masks are bool, uint8, int16, int32, int64, not float64"),
        ({"masks": np.zeros(7, np.uint8)}, r"masks are \[H, W\] or \[N, H, W\], not \[7\]"),
        ({"masks": b"GIF89a..."}, "masks as bytes are a PNG or an npy file, not b'GIF89a"),
        ({"masks": Image.new("RGB", (2, 2))}, "mode RGB is no mask; one of 1, L, P"),
    ],
)
def test_what_no_server_takes_is_refused_before_it_is_sent(targets: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_parcel(sample(**targets))


@pytest.mark.parametrize("library", [upstream, tv_tensors])
def test_boxes_that_say_something_else_than_was_said_are_refused(library: Any) -> None:
    own = library.BoundingBoxes(torch.zeros(1, 4), format="XYWH", canvas_size=(7, 13))
    with pytest.raises(InvalidInput, match="box_format is 'CXCYWH', but the boxes say that they are XYWH"):
        read_parcel(sample(boxes=own, box_format="CXCYWH"))


def names(parcel: Parcel) -> list[str]:
    return [name for name, _ in parcel.parts]


@pytest.mark.parametrize("as_given", [np.asarray, list, torch.as_tensor, tuple])
def test_the_frames_of_a_clip_are_sent_exactly(as_given: Any) -> None:
    frames = np.stack([make_pixels(size=(7, 13)) + np.uint8(i) for i in range(3)])
    laid_out = np.moveaxis(frames, -1, 1) if as_given is torch.as_tensor else frames
    parcel = read_parcel(Clip(as_given(laid_out)))
    assert names(parcel) == ["frame"] * 3
    sent = [np.asarray(Image.open(io.BytesIO(b"".join(source.read())))) for _, source in parcel.parts]
    assert np.array_equal(np.stack(sent), frames)


def test_the_frames_of_a_clip_may_be_any_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(make_file("PNG", (7, 13)))
    frames = [tmp_path / "a.png", make_file("JPEG", (7, 13)), make_pixels(size=(7, 13))]
    assert names(read_parcel(Clip(frames))) == ["frame"] * 3


def test_a_clip_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    for given in (tmp_path / "a.mp4", str(tmp_path / "a.mp4"), b"video", memoryview(b"video")):
        ((name, source),) = read_parcel(Clip(given)).parts
        assert name == "clip"
        assert b"".join(source.read()) == b"video"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one frame"),
        (np.zeros((0, 7, 13, 3), np.uint8), "at least one frame"),
        (3, "cannot make a clip of a int"),
        ([3], "cannot send a int"),
        (np.zeros((2, 7, 13, 3), np.float32), "pixels travel as uint8"),
    ],
)
def test_what_is_no_clip_is_refused(frames: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_parcel(Clip(frames))


def test_a_batch_where_an_image_belongs_is_told_what_it_could_be() -> None:
    with pytest.raises(InvalidInput, match=r"send list\(batch\) for a batch, Clip\(frames\) for a clip"):
        read_parcel(np.zeros((2, 7, 13, 3), np.uint8))


def test_the_parts_of_a_sample_are_counted_for_the_size_of_its_request() -> None:
    masks = np.zeros((20, 70, 130), np.uint8)
    parcel = read_parcel(sample(masks=masks, boxes=BOXES, keypoints=[[1, 2]], labels=[1, 2]))
    assert names(parcel) == ["image", "boxes", "masks", "keypoints", "labels"]
    assert parcel.size_bytes > masks.nbytes + 5 * 128
    assert read_parcel(Clip([bytes(1000)] * 10)).size_bytes > 10_000
