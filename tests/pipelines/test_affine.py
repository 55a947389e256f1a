"""Affine maps against torchvision, alone and in a batch, and what they refuse."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leaves import assert_leaf_parity, assert_parity_of_leaves
from parity import assert_parity, assert_same, channels_last, make_images
from targets import (
    FORMATS,
    assert_target_parity,
    make_boxes,
    make_picture_structure,
    make_structure,
    make_video_structure,
)
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.transforms import Normalize, RandomAffine, ToDtype
from augserve_pipelines.transforms.affine import affine, affine_geometry, affine_image
from augserve_pipelines.transforms.matrices import Affinity
from augserve_pipelines.transforms.warp import by_products, by_sums
from factories import SIZES, encode_picture, make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2

EVERYTHING = {"degrees": 30, "translate": (0.1, 0.3), "scale": (0.7, 1.5), "shear": (-10, 10, -5, 20)}
MODES = ("nearest", "bilinear")
FILLS = [None, 0, 127.5, 255, [9], [1, 2.5, 300], {torch.Tensor: 3}, {"others": None}]
SMALL = ((1, 1), (1, 9), (9, 1), (7, 13), (30, 21))

finite = st.floats(-400, 400, width=32)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"degrees": 0},
        {"degrees": 0, "translate": (0.5, 0.5)},
        {"degrees": (10, 50), "shear": 7},
        {"degrees": 180, "scale": (0.2, 3), "shear": (5, 6)},
        {"degrees": 25, "center": (3, 9.5)},
        EVERYTHING,
    ],
    ids=str,
)
def test_every_parameter(arguments: dict[str, object], interpolation: str, dtype: torch.dtype) -> None:
    arguments = {**arguments, "interpolation": interpolation}
    sizes = (*SIZES, (256, 256), (480, 363)) if dtype == torch.uint8 else (*SMALL, (64, 64), (213, 160))
    assert_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), make_images(dtype, sizes=sizes), range(9))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_every_fill(fill: object, interpolation: str, dtype: torch.dtype) -> None:
    arguments = {**EVERYTHING, "interpolation": interpolation}
    theirs = v2.RandomAffine(**arguments, fill=dict(fill) if isinstance(fill, dict) else fill)
    assert_parity(RandomAffine(**arguments, fill=fill), theirs, make_images(dtype, sizes=(*SMALL, (64, 80))), range(6))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int, interpolation: str) -> None:
    images = [make_noise((7, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    arguments = {**EVERYTHING, "fill": list(range(channels)), "interpolation": interpolation}
    assert_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), images)


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, interpolation: str) -> None:
    images = [make_noise(size).to(dtype) for size in SMALL]
    arguments = {**EVERYTHING, "fill": 7, "interpolation": interpolation}
    assert_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), images)


@settings(max_examples=150)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    angle=finite,
    translate=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    scale=st.floats(0.0625, 20, width=32),
    shear=st.one_of(finite, st.tuples(finite), st.tuples(finite, finite)),
    interpolation=st.sampled_from(MODES),
    center=st.one_of(st.none(), st.tuples(finite, finite)),
)
def test_the_kernel_over_all_parameters(
    size: tuple[int, int],
    angle: float,
    translate: tuple[int, int],
    scale: float,
    shear: float | tuple[float, ...],
    interpolation: str,
    center: tuple[float, float] | None,
) -> None:
    image = make_noise(size)
    arguments = (angle, translate, scale, shear, interpolation, [1, 2, 3], center)
    assert_same(affine_image(image, *arguments), tv_functional.affine_image(image, *arguments), f"{size} {arguments}")


def test_leading_dimensions() -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    arguments = (33.0, [2, -1], 1.1, [4.0, 5.0], "bilinear", 9)
    assert torch.equal(affine_image(video, *arguments), tv_functional.affine_image(video, *arguments))


LINEAR = {"angle": 33.3, "translate": [2, -3], "scale": 1.2, "shear": [4.0, -8.0]}


@pytest.mark.parametrize(
    "arguments",
    [
        LINEAR,
        {**LINEAR, "fill": 3, "interpolation": "bilinear", "center": [3, 4.5]},
        {**LINEAR, "fill": [3.0], "interpolation": "bicubic", "shear": 7},
        {**LINEAR, "fill": [1, 2, 3], "interpolation": 0, "translate": (0.5, 1.5)},
        {**LINEAR, "fill": [1, 2, 3, 4], "interpolation": "nearest-exact", "shear": [3.0], "angle": -400},
        {**LINEAR, "scale": -1},
        {**LINEAR, "shear": [1, 2, 3]},
    ],
    ids=str,
)
def test_the_functional_on_every_kind(arguments: dict[str, object]) -> None:
    assert_parity_of_leaves(affine, arguments)


@settings(max_examples=60)
@given(
    format=st.sampled_from(FORMATS),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64]),
    mode=st.sampled_from(["soft", "hard", None]),
    angle=finite,
    translate=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    scale=st.floats(0.0625, 20, width=32),
    shear=st.tuples(st.floats(-80, 80, width=32), st.floats(-80, 80, width=32)),
    center=st.one_of(st.none(), st.tuples(finite, finite)),
    seed=st.integers(0, 99),
)
def test_boxes_over_all_parameters(
    format: Any,
    dtype: torch.dtype,
    mode: str | None,
    angle: float,
    translate: tuple[int, int],
    scale: float,
    shear: tuple[float, float],
    center: tuple[float, float] | None,
    seed: int,
) -> None:
    assume(dtype.is_floating_point or format in FORMATS[:3])
    boxes = make_boxes((23, 34), format, dtype=dtype, clamping_mode=mode, seed=seed)
    arguments = {"angle": angle, "translate": translate, "scale": scale, "shear": shear, "center": center}
    assert_leaf_parity(affine, boxes, arguments)


@pytest.mark.parametrize(
    "arguments",
    [{**EVERYTHING, "interpolation": "bilinear"}, {"degrees": 180, "center": (3, 9), "fill": 7}],
    ids=str,
)
def test_every_target(arguments: dict[str, object]) -> None:
    assert_target_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), seeds=(0, 2**40 + 5))


@settings(max_examples=12)
@given(
    degrees=st.floats(0, 400),
    translate=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
    scale=st.none() | st.tuples(st.floats(0.1, 1), st.floats(1, 3)),
    shear=st.none() | st.floats(0, 60) | st.tuples(st.floats(-60, 0), st.floats(0, 60)),
    interpolation=st.sampled_from(MODES),
    fill=st.none() | st.floats(0, 255) | st.sampled_from([{"others": 3.5}]),
    center=st.none() | st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_the_class_over_all_parameters(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    structures = [make_structure(size), make_picture_structure(size)]
    theirs = v2.RandomAffine(**copy.deepcopy(arguments))
    assert_target_parity(RandomAffine(**arguments), theirs, structures, seeds=(seed,))


@pytest.mark.parametrize("interpolation", MODES)
def test_a_fill_for_each_kind(interpolation: str) -> None:
    fills = {"Image": [9, 8, 7], "Mask": 3, "PIL.Image": 5, "Video": None, "others": 2}
    theirs = {getattr(tv_tensors, name, name): fill for name, fill in fills.items() if name != "PIL.Image"}
    theirs |= {PIL.Image.Image: 5}
    given = {**EVERYTHING, "interpolation": interpolation}
    size = (40, 60)
    structures = [make_structure(size), make_video_structure(size), make_picture_structure(size)]
    for fill in (fills, dict(theirs)):
        ours = RandomAffine(**given, fill=fill)
        assert_target_parity(ours, v2.RandomAffine(**given, fill=dict(theirs)), structures, seeds=(1,))


def test_a_fill_is_for_all_subclasses_of_a_kind() -> None:
    picture = PIL.Image.open(io.BytesIO(encode_picture(make_picture(size=(20, 30)), "PNG")))
    assert type(picture) is not PIL.Image.Image
    arguments = {"degrees": (45, 45), "fill": {PIL.Image.Image: 9, "others": 0}}
    assert RandomAffine(**arguments)(picture).getpixel((0, 0)) == (9, 9, 9)
    assert v2.RandomAffine(**arguments)(picture).getpixel((0, 0)) == (0, 0, 0)
    loaded = picture.convert("RGB")  # of the class itself
    assert_target_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), [loaded], seeds=(0,))


def test_pictures_take_bicubic_and_tensors_refuse_it() -> None:
    arguments = {**EVERYTHING, "interpolation": "bicubic", "fill": 4}
    structures = [make_picture_structure((40, 60)), make_structure((40, 60)), make_boxes((40, 60))]
    assert_target_parity(RandomAffine(**arguments), v2.RandomAffine(**arguments), structures, seeds=(0,))
    with pytest.raises(InvalidInput, match="'bicubic' is for PIL images; tensors take 'nearest' or 'bilinear'"):
        Pipeline([RandomAffine(**arguments)])([make_noise((9, 9))], [0])


def test_what_has_no_size_is_refused() -> None:
    with pytest.raises(TypeError, match="RandomAffine found no image"):
        RandomAffine(3)({"name": "nothing"})
    with pytest.raises(ValueError, match="inputs of one size"):
        RandomAffine(3)(make_noise((9, 9)), make_boxes((8, 9)))


def test_the_matrix_says_where_points_go() -> None:
    arguments = {**LINEAR, "center": [3.0, 4.5]}
    matrix, size = affine_geometry(23, 34, **arguments)
    points = torch.tensor([[0.0, 0.0], [10.5, 3.25], [34.0, 23.0]], dtype=torch.float64)
    expected, canvas_size = tv_functional.affine_keypoints(points, (23, 34), **arguments)
    moved = torch.cat([points, torch.ones(3, 1)], 1) @ torch.from_numpy(matrix).T
    assert size == canvas_size
    torch.testing.assert_close(moved[:, :2], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", [([0.1, 0.3], [0.5, 1.5], [-5.0, 5.0, -3.0, 2.0]), (None, None, [1.0, 2.0])], ids=str)
def test_the_parameters_alone(given: tuple[Any, ...]) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        ours = RandomAffine.get_params([-10.0, 20.0], *given, [60, 40])
        torch.manual_seed(seed)
        assert ours == v2.RandomAffine.get_params([-10.0, 20.0], *given, [60, 40])


def make_block(count: int = 5, dtype: torch.dtype = torch.uint8) -> Tensor:
    return torch.stack([make_noise((31, 45), dtype, seed=seed) for seed in range(count)])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", MODES)
def test_a_row_of_a_batch_is_what_it_is_alone(
    interpolation: str, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    block = make_block(dtype=dtype).contiguous(memory_format=layout)
    op = RandomAffine(**EVERYTHING, interpolation=interpolation).draw(Lanes(range(5)), Frames.of(list(block)))
    together = op.run(Batch([Block(np.arange(5), block)])).stack()
    for row in range(5):
        assert_same(op[row : row + 1].image(block[row : row + 1])[0], together[row], f"row {row}")


def test_a_batch_of_videos() -> None:
    videos = make_block(6).reshape(2, 3, 3, 31, 45)
    op = RandomAffine(**EVERYTHING, fill=[1, 2, 3]).draw(Lanes(range(2)), Frames.of(list(videos)))
    for row, video in enumerate(op.image(videos)):
        for frame, image in zip(video, videos[row], strict=True):
            assert_same(op[row : row + 1].image(image[None])[0], frame, f"video {row}")


def pixel_centers(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    y, x = (torch.linspace((1 - n) / 2, (n - 1) / 2, n) for n in size)
    return x, y


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (9, 8), (30, 21), (224, 224), (213, 407)])
def test_the_two_ways_to_compute_points(size: tuple[int, int]) -> None:
    theta = torch.tensor([Affinity(20.0 * i, (i, 2 - i), 0.8, (3.0, i)).inverse((i, 1.5)) for i in range(4)])
    steps = theta.transpose(1, 2) / torch.tensor([0.5 * size[1], 0.5 * size[0]])
    centers = pixel_centers(size)
    products, sums = by_products(steps, *centers), by_sums(steps, *centers)
    for row in range(4):
        assert torch.equal(products[row], by_products(steps[row : row + 1], *centers)[0])
        assert torch.equal(sums[row], by_sums(steps[row : row + 1], *centers)[0])
    # Whatever this processor rounds: three roundings of terms of the size of the points.
    torch.testing.assert_close(products, sums, rtol=0, atol=8 * 2.0**-24 * float(products.abs().max() + 4))


def test_points_by_products_give_the_bytes_of_torchvision() -> None:
    size = (97, 131)
    image = make_noise(size, torch.float32)
    matrix = Affinity(33.0, (3, -4), 1.3, (7.0, 5.0)).inverse((0.0, 0.0))
    steps = torch.tensor([matrix]).transpose(1, 2) / torch.tensor([0.5 * size[1], 0.5 * size[0]])
    points = by_products(steps, *pixel_centers(size)).permute(0, 2, 3, 1)
    sampled = torch.nn.functional.grid_sample(image[None], points, padding_mode="zeros", align_corners=False)
    assert torch.equal(sampled[0], tv_functional.affine_image(image, 33.0, [3, -4], 1.3, [7.0, 5.0], "bilinear"))


def test_the_golden_draw() -> None:
    frames = Frames.of([torch.empty(3, 480, 640)])
    op = RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10).draw(Lanes([0]), frames)
    assert op.translate.tolist() == [[34, -40]]
    drawn = [op.angle[0], op.scale[0], op.shear[0, 0]]
    np.testing.assert_allclose(drawn, [-0.1123023, 0.9264061, -3.8515434], rtol=1e-6)


def test_in_a_pipeline_the_input_stays_as_it_is() -> None:
    images = [make_noise(size) for size in ((40, 30), (40, 30), (9, 1))]
    before = [image.clone() for image in images]
    steps = (RandomAffine(30, interpolation="bilinear"), ToDtype(torch.float32, True), Normalize([0.5], [0.5]))
    batch = Pipeline(steps)(images, [1, 2, 3])
    theirs = v2.Compose(
        [v2.RandomAffine(30, interpolation="bilinear"), v2.ToDtype(torch.float32, True), v2.Normalize([0.5], [0.5])]
    )
    for seed, image, kept, result in zip([1, 2, 3], images, before, batch, strict=True):
        assert torch.equal(image, kept)
        torch.manual_seed(seed)
        assert torch.equal(result, theirs(image))


def test_a_fill_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"fill \[1, 2\] has 2 values for an image of 3 channels: it takes one"):
        Pipeline([RandomAffine(3, fill=[1, 2])])([make_noise((9, 9))], [0])
    with pytest.raises(InvalidInput, match="has 2 values"):
        affine_image(make_noise((9, 9)), 3.0, [0, 0], 1.0, 0.0, fill=[1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degrees": -1}, "-1"),
        ({"degrees": (3, 1)}, "3 is greater than 1"),
        ({"degrees": 1, "translate": (0.1, 1.5)}, "1.5 is greater than 1"),
        ({"degrees": 1, "translate": 0.1}, "two numbers"),
        ({"degrees": 1, "scale": (0, 1)}, "0 is not greater than 0"),
        ({"degrees": 1, "shear": (1, 2, 3)}, r"four \[low, high, low, high\]"),
        ({"degrees": 1, "interpolation": "lanczos"}, "allowed: nearest, nearest-exact, bilinear, bicubic"),
        ({"degrees": 1, "center": (1,)}, "two numbers"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomAffine(**arguments)
