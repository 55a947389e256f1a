"""Perspective maps against torchvision, alone and in a batch, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leaves import assert_leaf_parity, assert_parity_of_leaves
from parity import assert_parity, assert_same, channels_last, make_images
from targets import FORMATS, assert_target_parity, make_boxes, make_picture_structure, make_structure

from augserve_pipelines import Pipeline
from augserve_pipelines.batch import Batch
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import merged
from augserve_pipelines.transforms import RandomPerspective
from augserve_pipelines.transforms.matrices import perspective_coefficients
from augserve_pipelines.transforms.perspective import perspective, perspective_geometry, perspective_image
from factories import make_noise
from oracle import tv_functional, tv_tensors, v2

MODES = ("nearest", "bilinear")
FILLS = [None, 0, 127.5, [9], [1, 2.5, 300], {torch.Tensor: 3}, {"others": None}]
SMALL = ((1, 1), (1, 9), (9, 1), (2, 2), (7, 13), (30, 21))

CORNERS = [[0, 0], [33, 0], [33, 22], [0, 22]]
ENDS = [[2, 3], [30, 1], [33, 22], [4, 20]]
COEFFICIENTS = [1.1, 0.2, 3.0, 0.1, 0.9, 2.0, 0.001, 0.002]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("arguments", [{}, {"distortion_scale": 0, "p": 1}, {"distortion_scale": 1, "p": 1}], ids=str)
def test_every_parameter(arguments: dict[str, object], interpolation: str, dtype: torch.dtype) -> None:
    arguments = {**arguments, "interpolation": interpolation}
    images = make_images(dtype, sizes=(*SMALL, (64, 64), (213, 160)))
    assert_parity(RandomPerspective(**arguments), v2.RandomPerspective(**arguments), images, range(9))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_every_fill(fill: object, interpolation: str) -> None:
    theirs = v2.RandomPerspective(p=1, interpolation=interpolation, fill=dict(fill) if isinstance(fill, dict) else fill)
    images = make_images(sizes=((7, 13), (64, 80)))
    assert_parity(RandomPerspective(p=1, interpolation=interpolation, fill=fill), theirs, images, range(6))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, interpolation: str) -> None:
    images = [make_noise(size).to(dtype) for size in ((7, 13), (30, 21))]
    arguments = {"p": 1, "fill": 7, "interpolation": interpolation}
    assert_parity(RandomPerspective(**arguments), v2.RandomPerspective(**arguments), images, range(4))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    images = [make_noise((7, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    arguments = {"p": 1, "fill": list(range(channels))}
    assert_parity(RandomPerspective(**arguments), v2.RandomPerspective(**arguments), images)


@pytest.mark.parametrize(
    "arguments",
    [
        {"startpoints": CORNERS, "endpoints": ENDS},
        {"startpoints": CORNERS, "endpoints": [[2.3, 3], [30, 1.7], [33, 22], [4, 20]], "interpolation": "nearest"},
        {"startpoints": CORNERS, "endpoints": ENDS, "fill": 7, "interpolation": "bicubic"},
        {"startpoints": None, "endpoints": None, "coefficients": COEFFICIENTS, "fill": [3, 4, 5]},
        {"startpoints": CORNERS, "endpoints": None, "coefficients": COEFFICIENTS, "fill": [3, 4, 5, 6]},
        {"startpoints": None, "endpoints": None},
        {"startpoints": None, "endpoints": None, "coefficients": [1.0] * 8},
        {"startpoints": None, "endpoints": None, "coefficients": [1.0] * 7},
        {"startpoints": CORNERS, "endpoints": ENDS, "coefficients": COEFFICIENTS},
        {"startpoints": CORNERS[:3], "endpoints": ENDS},
        {"startpoints": CORNERS, "endpoints": [[0, 0]] * 4},
    ],
    ids=str,
)
def test_the_functional_on_every_kind(arguments: dict[str, Any]) -> None:
    assert_parity_of_leaves(perspective, arguments)


@settings(max_examples=60)
@given(
    format=st.sampled_from(FORMATS),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64]),
    mode=st.sampled_from(["soft", "hard", None]),
    ends=st.lists(st.tuples(st.integers(-9, 9), st.integers(-6, 6)), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_boxes_over_all_parameters(
    format: Any, dtype: torch.dtype, mode: str | None, ends: list[tuple[int, int]], seed: int
) -> None:
    assume(dtype.is_floating_point or format in FORMATS[:3])
    boxes = make_boxes((23, 34), format, dtype=dtype, clamping_mode=mode, seed=seed)
    moved = [[x + right, y + down] for (x, y), (right, down) in zip(CORNERS, ends, strict=True)]
    assert_leaf_parity(perspective, boxes, {"startpoints": CORNERS, "endpoints": moved})


@settings(max_examples=100)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    coefficients=st.tuples(*[st.floats(-3, 3, width=32)] * 6, *[st.floats(-0.125, 0.125, width=32)] * 2),
    interpolation=st.sampled_from(MODES),
)
def test_the_kernel_over_all_parameters(
    size: tuple[int, int], coefficients: tuple[float, ...], interpolation: str
) -> None:
    image = make_noise(size)
    arguments = (None, None, interpolation, [1, 2, 3], list(coefficients))
    expected = tv_functional.perspective_image(image, *arguments)
    assert_same(perspective_image(image, *arguments), expected, f"{size} {arguments}")


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=4, max_size=4))
def test_the_coefficients(ends: list[tuple[int, int]]) -> None:
    from torchvision.transforms.functional import _get_perspective_coeffs

    try:
        expected = _get_perspective_coeffs(CORNERS, ends)
    except RuntimeError:
        with pytest.raises(InvalidInput, match="no perspective map takes"):
            perspective_coefficients(CORNERS, ends)
    else:
        assert_same(torch.tensor(perspective_coefficients(CORNERS, ends)), torch.tensor(expected), f"{ends}")


@pytest.mark.parametrize("arguments", [{"p": 0.5}, {"p": 1, "distortion_scale": 0.9, "fill": 7}], ids=str)
def test_every_target(arguments: dict[str, object]) -> None:
    assert_target_parity(RandomPerspective(**arguments), v2.RandomPerspective(**arguments), seeds=(0, 1))


@settings(max_examples=12)
@given(
    distortion_scale=st.floats(0, 1),
    p=st.sampled_from([0.5, 1.0]),
    interpolation=st.sampled_from(MODES),
    fill=st.none() | st.floats(0, 255),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_the_class_over_all_parameters(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    structures = [make_structure(size), make_picture_structure(size)]
    assert_target_parity(RandomPerspective(**arguments), v2.RandomPerspective(**arguments), structures, seeds=(seed,))


def test_a_fill_for_each_kind() -> None:
    fills = {"Image": [9, 8, 7], "Mask": 3, "others": 2}
    theirs = {tv_tensors.Image: [9, 8, 7], tv_tensors.Mask: 3, "others": 2}
    structures = [make_structure((40, 60)), make_picture_structure((40, 60))]
    assert_target_parity(
        RandomPerspective(p=1, fill=fills), v2.RandomPerspective(p=1, fill=theirs), structures, seeds=(1,)
    )


def test_the_golden_draws() -> None:
    expected = (
        [[73, 100], [558, 118], [481, 473], [45, 376]],
        [[24, 16], [587, 3], [520, 375], [82, 370]],
        [[87, 115], [600, 0], [584, 413], [33, 393]],
    )
    op = RandomPerspective(0.5, p=1).draw(Lanes([0, 1, 2]), Frames.of([torch.empty(3, 480, 640)] * 3)).op
    corners = [[0, 0], [639, 0], [639, 479], [0, 479]]
    assert op.coefficients.tolist() == [perspective_coefficients(corners, ends) for ends in expected]


def test_the_parameters_alone() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        ours = RandomPerspective.get_params(60, 40, 0.5)
        torch.manual_seed(seed)
        assert ours == v2.RandomPerspective.get_params(60, 40, 0.5)


def test_the_matrix_says_where_points_go() -> None:
    points = torch.tensor([[0.0, 0.0], [10.5, 3.25], [34.0, 23.0]], dtype=torch.float64)
    matrix, size = perspective_geometry(23, 34, CORNERS, ENDS)
    expected = tv_functional.perspective_keypoints(points, (23, 34), CORNERS, ENDS)
    moved = torch.cat([points, torch.ones(3, 1)], 1) @ torch.from_numpy(matrix).T
    assert size == (23, 34)
    torch.testing.assert_close(moved[:, :2] / moved[:, 2:], expected, rtol=0, atol=1e-12)


def test_leading_dimensions() -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    arguments = (None, None, "bilinear", 9, COEFFICIENTS)
    assert torch.equal(perspective_image(video, *arguments), tv_functional.perspective_image(video, *arguments))


@pytest.mark.parametrize("interpolation", MODES)
def test_a_row_of_a_batch_is_what_it_is_alone(interpolation: str) -> None:
    images = [make_noise((31, 45), seed=seed) for seed in range(5)]
    op = RandomPerspective(0.7, 0.8, interpolation).draw(Lanes(range(5)), Frames.of(images))
    together = op.run(merged(Batch.of(images).blocks)).stack()
    for row, image in enumerate(images):
        assert_same(op[row : row + 1].image(image[None])[0], together[row], f"row {row}")


def test_what_cannot_be_mapped_is_refused_where_it_fires() -> None:
    with pytest.raises(InvalidInput, match="no perspective map takes"):
        Pipeline([RandomPerspective(p=1)])([make_noise((9, 1))], [0])
    with pytest.raises(InvalidInput, match="has 2 values"):
        Pipeline([RandomPerspective(p=1, fill=[1, 2])])([make_noise((9, 9))], [0])
    with pytest.raises(InvalidInput, match="'bicubic' is for PIL images"):
        Pipeline([RandomPerspective(p=1, interpolation="bicubic")])([make_noise((9, 9))], [0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distortion_scale": 1.5}, "1.5 is greater than 1"),
        ({"distortion_scale": -0.5}, "-0.5 is less than 0"),
        ({"p": 2}, "2 is greater than 1"),
        ({"interpolation": "lanczos"}, "allowed: nearest, nearest-exact, bilinear, bicubic"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomPerspective(**arguments)
