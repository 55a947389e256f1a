"""Rotations against torchvision, alone and in a batch, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leaves import assert_leaf_parity, assert_parity_of_leaves
from parity import assert_parity, assert_same, channels_last, make_images
from targets import (
    FORMATS,
    assert_eager_target_parity,
    assert_target_parity,
    make_boxes,
    make_picture_structure,
    make_structure,
    make_video_structure,
)

from augserve_pipelines import Pipeline
from augserve_pipelines.batch import Batch
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import merged
from augserve_pipelines.transforms import RandomRotation
from augserve_pipelines.transforms.rotation import QuarterTurns, rotate, rotate_geometry, rotate_image
from factories import SIZES, make_noise
from oracle import tv_functional, tv_tensors, v2

MODES = ("nearest", "bilinear")
FILLS = [None, 0, 127.5, [9], [1, 2.5, 300], {torch.Tensor: 3}, {"others": None}]
SMALL = ((1, 1), (1, 9), (9, 1), (7, 13), (30, 21), (20, 20))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"degrees": 0},
        {"degrees": 30},
        {"degrees": (170, 190)},
        {"degrees": 25, "center": (3, 9.5)},
        {"degrees": 45, "expand": True},
        {"degrees": 1e-3, "expand": True},
        {"degrees": 360, "expand": True, "center": (0, 0)},
        {"degrees": 1e-14},
    ],
    ids=str,
)
def test_every_parameter(arguments: dict[str, object], interpolation: str, dtype: torch.dtype) -> None:
    arguments = {**arguments, "interpolation": interpolation}
    sizes = (*SIZES, (256, 256), (480, 363)) if dtype == torch.uint8 else (*SMALL, (64, 64), (213, 160))
    images = make_images(dtype, sizes=sizes)
    assert_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), images, range(9))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270, 360, -90, -180, 450])
def test_quarter_turns_are_exact_where_the_shape_allows(angle: float, expand: bool, dtype: torch.dtype) -> None:
    arguments = {"degrees": (angle, angle), "expand": expand, "interpolation": "bilinear", "fill": 9}
    images = make_images(dtype, sizes=(*SMALL, (64, 64)))
    assert_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), images, range(2))
    square = make_noise((20, 20), dtype)
    (turned,) = Pipeline([RandomRotation(**arguments)])([square], [0])
    assert torch.equal(turned, torch.rot90(square, angle // 90, (-2, -1)))


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_quarter_turns_about_a_center_are_warps(angle: float) -> None:
    arguments = {"degrees": (angle, angle), "center": (2.5, 4), "fill": 9}
    assert_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), make_images(sizes=SMALL), range(2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_every_fill(fill: object, interpolation: str, dtype: torch.dtype) -> None:
    arguments = {"degrees": 70, "expand": True, "interpolation": interpolation}
    theirs = v2.RandomRotation(**arguments, fill=dict(fill) if isinstance(fill, dict) else fill)
    images = make_images(dtype, sizes=(*SMALL, (64, 80)))
    assert_parity(RandomRotation(**arguments, fill=fill), theirs, images, range(6))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int, interpolation: str) -> None:
    images = [make_noise((7, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    arguments = {"degrees": 70, "fill": list(range(channels)), "interpolation": interpolation}
    assert_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), images)


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, interpolation: str) -> None:
    images = [make_noise(size).to(dtype) for size in SMALL]
    arguments = {"degrees": 70, "expand": True, "fill": 7, "interpolation": interpolation}
    assert_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), images, range(6))


@settings(max_examples=150)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    angle=st.one_of(st.floats(-400, 400), st.sampled_from([0.0, 90.0, -90.0, 180.0, 270.0, 360.0, -1e-17])),
    interpolation=st.sampled_from(MODES),
    expand=st.booleans(),
    center=st.one_of(st.none(), st.tuples(st.floats(-40, 40), st.floats(-40, 40))),
)
def test_the_kernel_over_all_parameters(
    size: tuple[int, int], angle: float, interpolation: str, expand: bool, center: tuple[float, float] | None
) -> None:
    image = make_noise(size)
    arguments = (angle, interpolation, expand, center, [1, 2, 3])
    assert_same(rotate_image(image, *arguments), tv_functional.rotate_image(image, *arguments), f"{size} {arguments}")


@pytest.mark.parametrize(
    "arguments",
    [
        {"angle": 33.3},
        {"angle": 33.3, "expand": True, "fill": 4, "interpolation": "bilinear"},
        {"angle": -90, "expand": True, "fill": [1, 2]},
        {"angle": 90},
        {"angle": 540},
        {"angle": 0, "interpolation": "bicubic"},
        {"angle": 10, "expand": True, "center": [3, 4], "interpolation": "bicubic", "fill": [1.0, 2.0, 3.0]},
        {"angle": 90, "expand": True, "center": [3, 4]},
        {"angle": 45.0, "center": (3, 4), "fill": [1, 2, 3, 4]},
    ],
    ids=str,
)
def test_the_functional_on_every_kind(arguments: dict[str, object]) -> None:
    assert_parity_of_leaves(rotate, arguments)


@settings(max_examples=60)
@given(
    format=st.sampled_from(FORMATS),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64]),
    mode=st.sampled_from(["soft", "hard", None]),
    angle=st.one_of(st.floats(-800, 800), st.sampled_from([0.0, 90.0, -90.0, 180.0, 270.0])),
    expand=st.booleans(),
    center=st.one_of(st.none(), st.tuples(st.floats(-40, 40), st.floats(-40, 40))),
    seed=st.integers(0, 99),
)
def test_boxes_over_all_parameters(
    format: Any,
    dtype: torch.dtype,
    mode: str | None,
    angle: float,
    expand: bool,
    center: tuple[float, float] | None,
    seed: int,
) -> None:
    assume(dtype.is_floating_point or format in FORMATS[:3])
    boxes = make_boxes((23, 34), format, dtype=dtype, clamping_mode=mode, seed=seed)
    assert_leaf_parity(rotate, boxes, {"angle": angle, "expand": expand, "center": center})


@pytest.mark.parametrize(
    "arguments",
    [
        {"degrees": 40, "expand": True, "interpolation": "bilinear"},
        {"degrees": (-90, -90), "expand": True, "fill": 3},
        {"degrees": (90, 90), "fill": 3},
    ],
    ids=str,
)
def test_every_target(arguments: dict[str, object]) -> None:
    assert_target_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), seeds=(0, 7))


@settings(max_examples=12)
@given(
    degrees=st.floats(0, 400) | st.sampled_from([(90, 90), (180, 180), (-90, -90)]),
    interpolation=st.sampled_from(MODES),
    expand=st.booleans(),
    center=st.none() | st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
    fill=st.none() | st.floats(0, 255),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_the_class_over_all_parameters(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    structures = [make_structure(size), make_picture_structure(size)]
    assert_target_parity(RandomRotation(**arguments), v2.RandomRotation(**arguments), structures, seeds=(seed,))


def test_a_fill_for_each_kind() -> None:
    fills = {"Image": [9, 8, 7], "Mask": 3, "Tensor": 5, "Video": None}
    theirs = {getattr(tv_tensors, name, torch.Tensor): fill for name, fill in fills.items()}
    size = (40, 60)
    structures = [make_structure(size), make_video_structure(size), make_picture_structure(size), make_noise(size)]
    assert_target_parity(RandomRotation(30, fill=fills), v2.RandomRotation(30, fill=theirs), structures, seeds=(1,))


def test_inputs_of_several_sizes_share_the_angle() -> None:
    sample = {"image": tv_tensors.Image(make_noise((20, 30))), "small": tv_tensors.Mask(torch.ones(10, 15))}
    for seed in range(3):
        assert_eager_target_parity(RandomRotation(90, expand=True), v2.RandomRotation(90, expand=True), sample, seed)


def test_the_matrix_says_where_points_go() -> None:
    points = torch.tensor([[0.0, 0.0], [10.5, 3.25], [34.0, 23.0]], dtype=torch.float64)
    for arguments in ({"angle": 33.0}, {"angle": 33.0, "expand": True}, {"angle": 100.0, "center": [3.0, 4.0]}):
        matrix, size = rotate_geometry(23, 34, **arguments)
        expected, _ = tv_functional.rotate_keypoints(points, (23, 34), **arguments)
        moved = torch.cat([points, torch.ones(3, 1)], 1) @ torch.from_numpy(matrix).T
        assert size == tv_functional.rotate_image(torch.zeros(1, 23, 34), **arguments).shape[-2:]
        torch.testing.assert_close(moved[:, :2], expected, rtol=0, atol=1e-12)


def test_the_parameters_alone() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        ours = RandomRotation.get_params([-10.0, 20.0])
        torch.manual_seed(seed)
        assert ours == v2.RandomRotation.get_params([-10.0, 20.0])


@pytest.mark.parametrize("angle", [0.0, 33.0, 90.0])
def test_leading_dimensions(angle: float) -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    arguments = (angle, "bilinear", True, None, 9)
    rotated = rotate_image(video, *arguments)
    assert torch.equal(rotated, tv_functional.rotate_image(video, *arguments))
    assert rotated.data_ptr() != video.data_ptr()


@pytest.mark.parametrize("turns", [[0, 2, 2, 0], [1, 3, 3, 1], [2, 2, 2, 2]])
def test_samples_with_turns_of_their_own(turns: list[int]) -> None:
    images = [make_noise((12, 10), seed=seed) for seed in range(4)]
    op = QuarterTurns(90.0 * np.array(turns), InterpolationMode.NEAREST, fill=None, expand=True, center=None)
    batch = op.run(merged(Batch.of(images).blocks))
    assert op.frames(Frames.of(images)).keys() == Frames.of(list(batch)).keys()
    for image, turn, result in zip(images, turns, batch, strict=True):
        assert torch.equal(result, torch.rot90(image, turn, (-2, -1)))


@pytest.mark.parametrize("arguments", [{"degrees": (90, 90)}, {"degrees": 70, "expand": True}])
def test_frames_tell_what_comes_out(arguments: dict[str, object]) -> None:
    images = [make_noise(size, dtype) for size in SMALL for dtype in (torch.uint8, torch.float32)]
    op = RandomRotation(**arguments).draw(Lanes(range(len(images))), Frames.of(images))
    assert op.frames(Frames.of(images)).keys() == Frames.of(list(op.run(Batch.of(images)))).keys()


@pytest.mark.parametrize("interpolation", MODES)
def test_a_row_of_a_batch_is_what_it_is_alone(interpolation: str) -> None:
    images = [make_noise((31, 45), seed=seed) for seed in range(5)]
    op = RandomRotation(60, interpolation).draw(Lanes(range(5)), Frames.of(images))
    together = op.run(merged(Batch.of(images).blocks)).stack()
    for row, image in enumerate(images):
        assert_same(op[row : row + 1].image(image[None])[0], together[row], f"row {row}")


def test_in_a_pipeline_results_of_many_sizes_lie_in_their_blocks() -> None:
    images = [make_noise(size, seed=seed) for size in ((40, 30), (20, 20)) for seed in range(8)]
    before = [image.clone() for image in images]
    batch = Pipeline([RandomRotation(90, expand=True)])(images, range(16))
    theirs = v2.RandomRotation(90, expand=True)
    for seed, (image, kept, result) in enumerate(zip(images, before, batch, strict=True)):
        assert torch.equal(image, kept)
        torch.manual_seed(seed)
        assert torch.equal(result, theirs(image))


def test_a_fill_of_the_wrong_length_is_refused_where_it_is_used() -> None:
    image = make_noise((9, 9))
    with pytest.raises(InvalidInput, match=r"fill \[1, 2\] has 2 values for an image of 3 channels: it takes one"):
        Pipeline([RandomRotation(3, fill=[1, 2])])([image], [0])
    with pytest.raises(InvalidInput, match="has 2 values"):
        rotate_image(image, 3.0, fill=[1, 2])
    assert_parity(RandomRotation((90, 90), fill=[1, 2]), v2.RandomRotation((90, 90), fill=[1, 2]), [image])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degrees": -1}, "-1 is less than 0"),
        ({"degrees": (3, 1)}, "3 is greater than 1"),
        ({"degrees": (3, 4, 5)}, "a number or two numbers"),
        ({"degrees": 1, "interpolation": "lanczos"}, "allowed: nearest, nearest-exact, bilinear, bicubic"),
        ({"degrees": 1, "center": (1,)}, "two numbers"),
        ({"degrees": 1, "expand": 1}, "true or false"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomRotation(**arguments)
