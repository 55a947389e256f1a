"""Padding against torchvision, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import assert_parity, assert_same, channels_last, make_images
from targets import FORMATS, assert_same_leaf, assert_target_parity, make_boxes, make_picture_structure, make_structure

from augserve_pipelines import Pipeline
from augserve_pipelines.batch import Batch
from augserve_pipelines.definition import loads
from augserve_pipelines.errors import InvalidInput, InvalidPipeline
from augserve_pipelines.frames import Frames, is_interleaved
from augserve_pipelines.ops import merged
from augserve_pipelines.transforms import Pad
from augserve_pipelines.transforms.pad import pad, pad_bounding_boxes, pad_image
from augserve_pipelines.transforms.pad_edges import PadEdges
from factories import make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2

MODES = ("constant", "edge", "reflect", "symmetric")
PADDINGS = (0, 3, [7], [2, 5], [3, 0, 1, 7], [-1, 2, 0, -3], [-2, 1, 3, 0])


def make_op(paddings: list[list[int]], fill: float = 0, mode: str = "constant") -> PadEdges:
    left, top, right, bottom = np.array(paddings).T
    return PadEdges(left, top, right, bottom, fill, mode, np.full(len(left), fill, object))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_padding(mode: str, padding: int | list[int], dtype: torch.dtype) -> None:
    crops = isinstance(padding, list) and min(padding) < 0  # and torchvision's answer to a crop of all is not ours
    images = make_images(dtype, smallest=4 if crops else 1)
    assert_parity(Pad(padding, padding_mode=mode), v2.Pad(padding, padding_mode=mode), images, seeds=(0,))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("fill", [None, 0, 127, 127.5, 255, [9], [1, 2.5, 300], {torch.Tensor: 3}, {"others": 4}])
def test_every_fill(fill: object, dtype: torch.dtype) -> None:
    theirs = v2.Pad([1, 2, 3, 4], fill=dict(fill) if isinstance(fill, dict) else fill)
    assert_parity(Pad([1, 2, 3, 4], fill=fill), theirs, make_images(dtype), seeds=(0,))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    images = [make_noise((7, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    fill = list(range(channels))
    assert_parity(Pad(3, fill=fill), v2.Pad(3, fill=fill), images, seeds=(0,))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.uint16, torch.float16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, mode: str) -> None:
    images = [make_noise(size).to(dtype) for size in ((1, 9), (9, 1), (30, 21))]
    assert_parity(Pad([2, 1], 7, mode), v2.Pad([2, 1], 7, mode), images, seeds=(0,))


@settings(max_examples=300)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.lists(st.integers(-3, 9), min_size=4, max_size=4),
    mode=st.sampled_from(MODES),
    last=st.booleans(),
)
def test_the_kernel_over_small_sizes(size: tuple[int, int], padding: list[int], mode: str, last: bool) -> None:
    image = make_noise(size, channels=2)
    image = channels_last(image) if last else image
    try:
        actual = pad_image(image, padding, None, mode)
    except InvalidInput:
        left, top, right, bottom = padding
        gone = size[0] + min(top, 0) + min(bottom, 0) < 1 or size[1] + min(left, 0) + min(right, 0) < 1
        if not gone:
            with pytest.raises((RuntimeError, IndexError)):
                tv_functional.pad_image(image, padding, None, mode)
        return
    assert_same(actual, tv_functional.pad_image(image, padding, None, mode), f"{size} {padding} {mode}")


def test_leading_dimensions() -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    assert torch.equal(pad_image(video, 2, [1, 2, 3]), tv_functional.pad_image(video, [2], [1, 2, 3]))


@pytest.mark.parametrize("mode", MODES)
def test_samples_with_paddings_of_their_own(mode: str) -> None:
    images = [make_noise((12, 10), seed=seed) for seed in range(4)]
    paddings = [[1, 2, 3, 4], [3, 4, 1, 2], [2, 3, 2, 3], [0, 6, 4, 0]]  # one size of result, four places in it
    batch = make_op(paddings, mode=mode).run(merged(Batch.of(images).blocks))
    assert len(batch.blocks) == 1
    for image, padding, result in zip(images, paddings, batch, strict=True):
        assert torch.equal(result, tv_functional.pad_image(image, padding, None, mode))


def test_samples_of_many_sizes_by_paddings_of_their_own() -> None:
    images = [make_noise((5 + i, 9 - i), seed=i) for i in range(5)]
    paddings = [[i, 2 * i, 1, 3] for i in range(5)]
    for image, padding, result in zip(images, paddings, make_op(paddings, 9).run(Batch.of(images)), strict=True):
        assert torch.equal(result, tv_functional.pad_image(image, padding, 9))


def test_frames_tell_what_comes_out() -> None:
    images = [make_noise((5 + i, 9 - i), [torch.uint8, torch.float32][i % 2]) for i in range(5)]
    op = make_op([[i, -1, 1, 3] for i in range(5)])
    assert op.frames(Frames.of(images)).keys() == Frames.of(list(op.run(Batch.of(images)))).keys()


def test_in_a_pipeline_the_input_stays_as_it_is() -> None:
    image = make_noise((9, 9))
    before = image.clone()
    (result,) = Pipeline([Pad(2, padding_mode="reflect"), Pad(1, fill=[1, 2, 3])])([image], [0])
    assert torch.equal(image, before)
    assert torch.equal(result, v2.Compose([v2.Pad(2, padding_mode="reflect"), v2.Pad(1, fill=[1, 2, 3])])(image))


def test_large_integers_are_kept_where_torchvision_rounds_them() -> None:
    image = torch.tensor([[[2**24 + 1, 2**40 + 1]]])
    assert pad_image(image, 1, padding_mode="edge")[0, 0].tolist() == [2**24 + 1, 2**24 + 1, 2**40 + 1, 2**40 + 1]
    assert tv_functional.pad_image(image, [1], padding_mode="edge")[0, 0, 0].item() == 2**24


@pytest.mark.parametrize(
    ("transform", "size", "message"),
    [
        (
            Pad([3, 0], padding_mode="reflect"),
            (9, 3),
            r"padding \[3, 0, 3, 0\] .* width 3: reflect .* at most 2 pixels",
        ),
        (Pad([0, 4], padding_mode="symmetric"), (3, 9), r"height 3: symmetric .* at most 3 pixels"),
        (Pad([-5, 0]), (9, 9), r"padding \[-5, 0, -5, 0\] leaves nothing of an image of width 9"),
        (Pad([0, -9, 0, 2], padding_mode="edge"), (9, 9), "leaves nothing of an image of height 9"),
        (Pad(1, fill=[1, 2]), (9, 9), r"fill \[1, 2\] has 2 values for an image of 3 channels: it takes one value, or"),
        (Pad(1, fill=256), (9, 9), "fill 256 does not fit uint8, which holds 0 to 255"),
        (Pad(1, fill=-0.5), (9, 9), "fill -0.5 does not fit uint8"),
    ],
)
def test_what_one_image_cannot_have(transform: Pad, size: tuple[int, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Pipeline([transform])([make_noise(size)], [0])


def test_a_fill_that_is_not_used_is_not_checked() -> None:
    assert_parity(Pad(0, fill=[1, 2]), v2.Pad(0, fill=[1, 2]), [make_noise((9, 9))], seeds=(0,))


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": [1, 2, 3]},
        {"padding": []},
        {"padding": 1.5},
        {"padding": 1, "padding_mode": "mirror"},
        {"padding": 1, "padding_mode": "edge", "fill": [1, 2, 3]},
        {"padding": 1, "fill": "red"},
    ],
)
def test_refused_arguments(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"padding|fill"):
        Pad(**arguments)


FILLS_BY_KIND = {tv_tensors.Image: [1, 2, 3], tv_tensors.Video: 9, tv_tensors.Mask: 4, "others": 5}


@pytest.mark.parametrize(
    ("padding", "fill"), [(0, 0), ([1, 2, 3, 4], 7), ([-2, 1, 3, -5], 0), ([3], FILLS_BY_KIND)], ids=str
)
def test_every_kind(padding: int | list[int], fill: object) -> None:
    theirs = v2.Pad(padding, fill=dict(fill) if isinstance(fill, dict) else fill)
    assert_target_parity(Pad(padding, fill), theirs, seeds=(0,))


@pytest.mark.parametrize("mode", MODES[1:])
def test_mirrored_padding_is_not_for_boxes_and_points(mode: str) -> None:
    structure = make_structure()
    parts = [{"image": structure["image"], key: structure[key]} for key in ("semantic", "XYWHR", "keypoints")]
    assert_target_parity(Pad([3, 2], padding_mode=mode), v2.Pad([3, 2], padding_mode=mode), parts, seeds=(0,))


@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": 3, "fill": 7},
        {"padding": [2], "fill": [9]},
        {"padding": [2, 5]},
        {"padding": [1, 2, 3, 4], "fill": [1, 2, 3]},
        {"padding": [-1, 2, -3, 4], "fill": 2.7},
        {"padding": [3, 4], "padding_mode": "edge"},
        {"padding": [3, -4], "padding_mode": "reflect"},
        {"padding": [5, 2], "padding_mode": "symmetric"},
        {"padding": 2, "fill": [1, 2, 3], "padding_mode": "edge"},
        {"padding": [1, 2, 3]},
    ],
    ids=str,
)
def test_the_functional_on_every_kind(arguments: dict[str, object]) -> None:
    without = "no masks" if arguments.get("padding_mode") in ("edge", "reflect") else "nothing"  # torchvision cannot
    assert_parity_of_leaves(pad, arguments, without=without)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("padding_mode", MODES)
def test_pictures_of_every_mode(padding_mode: str, mode: str) -> None:
    structure = make_picture_structure() | {"image": make_picture(size=(12, 20)).convert(mode)}
    del structure["boxes"]
    for padding in ([2, 3, 1, 0], [-2, 30, 4, 1], 0):
        ours, theirs = Pad(padding, 3, padding_mode), v2.Pad(padding, 3, padding_mode)
        assert_target_parity(ours, theirs, [structure], seeds=(0,))


def test_pictures_with_palettes_keep_them() -> None:
    picture = make_picture(size=(12, 20)).convert("P")
    for mode in MODES:
        ours, theirs = pad(picture, 2, 1, mode), tv_functional.pad(picture, [2], 1, mode)
        assert_same_leaf(ours.convert("RGB"), theirs.convert("RGB"), mode)


@settings(max_examples=40)
@given(
    st.sampled_from(FORMATS),
    st.sampled_from(["soft", "hard", None]),
    st.lists(st.integers(-9, 9), min_size=4, max_size=4),
)
def test_boxes(format: object, clamping_mode: object, padding: list[int]) -> None:
    boxes = make_boxes((30, 47), format).as_subclass(torch.Tensor).expand(2, -1, -1)
    ours = pad_bounding_boxes(boxes, format, (30, 47), padding, clamping_mode=clamping_mode)
    theirs = tv_functional.pad_bounding_boxes(boxes, format, (30, 47), padding, clamping_mode=clamping_mode)
    assert torch.equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("mode", MODES)
def test_results_lie_as_torchvisions(mode: str) -> None:
    """Noise that is drawn for them follows that."""
    pixels = channels_last(make_noise((20, 31)))
    videos = [torch.stack([pixels, pixels]), torch.stack([pixels.permute(1, 2, 0)] * 2).permute(0, 3, 1, 2)]
    for own in (pixels, pixels[:, 2:, 3:], make_noise((20, 31)), *videos):
        for padding in (2, 0, [-2, 1]):
            ours, theirs = (one(own, [padding] if padding == 2 else padding, 0, mode) for one in KERNELS)
            assert torch.equal(ours, theirs)
            assert is_interleaved(ours) == is_interleaved(theirs)


KERNELS = (pad_image, tv_functional.pad_image)


def test_images_and_videos_in_one_batch_have_fills_of_their_own() -> None:
    structures = [make_structure(), {"video": tv_tensors.Video(make_noise((9, 8))[None])}, make_noise((7, 9))]
    structures[0] = {"image": structures[0]["image"]}
    fill = {tv_tensors.Image: 3, tv_tensors.Video: 9, torch.Tensor: 1}
    assert_target_parity(Pad(2, fill), v2.Pad(2, dict(fill)), structures, seeds=(0,))


def test_a_fill_of_channels_at_mirrored_edges_is_told_when_a_pipeline_loads() -> None:
    text = "transforms: [Pad: {padding: 2, fill: {others: [1, 2, 3]}, padding_mode: symmetric}]"
    with pytest.raises(InvalidPipeline, match="does not take that"):
        loads(text, "x")
