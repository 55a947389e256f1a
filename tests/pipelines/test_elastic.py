"""Elastic maps against torchvision, alone and in a batch, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leaves import SIZE, assert_leaf_parity, assert_parity_of_leaves
from parity import assert_parity, assert_same, channels_last, make_images
from targets import FORMATS, assert_target_parity, make_boxes, make_picture_structure, make_structure

from augserve_pipelines import Pipeline
from augserve_pipelines.batch import Batch
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import merged
from augserve_pipelines.transforms import Compose, ElasticTransform, RandomRotation
from augserve_pipelines.transforms.elastic import elastic, elastic_geometry, elastic_image, elastic_transform
from factories import make_noise
from oracle import tv_functional, tv_tensors, v2

MODES = ("nearest", "bilinear")
FILLS = [None, 0, 127.5, [9], [1, 2.5, 300], {torch.Tensor: 3}, {"others": None}]
SIZES = ((1, 1), (1, 9), (2, 2), (7, 13), (30, 21), (64, 100))


def displacements(size: tuple[int, int] = SIZE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(1, *size, 2, generator=generator) - 0.5) * 0.3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"sigma": 2.0},
        {"alpha": [20], "sigma": [0.2, 3]},
        {"sigma": 0, "interpolation": "nearest"},
        {"alpha": [100.0, 0.0], "sigma": 0.3},
        {"alpha": -30.0, "sigma": [0.1, 0.1]},
    ],
    ids=str,
)
def test_every_parameter(arguments: dict[str, object], dtype: torch.dtype) -> None:
    images = make_images(dtype, sizes=SIZES)
    assert_parity(ElasticTransform(**arguments), v2.ElasticTransform(**arguments), images, range(6))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_every_fill(fill: object, interpolation: str) -> None:
    arguments = {"alpha": 90, "sigma": 1, "interpolation": interpolation}
    theirs = v2.ElasticTransform(**arguments, fill=dict(fill) if isinstance(fill, dict) else fill)
    images = make_images(sizes=((7, 13), (30, 21)))
    assert_parity(ElasticTransform(**arguments, fill=fill), theirs, images, range(6))


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, interpolation: str) -> None:
    images = [make_noise(size).to(dtype) for size in ((7, 13), (30, 21))]
    arguments = {"alpha": 90, "sigma": 1, "fill": 7, "interpolation": interpolation}
    assert_parity(ElasticTransform(**arguments), v2.ElasticTransform(**arguments), images, range(4))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    images = [make_noise((7, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    arguments = {"alpha": 90, "sigma": 1, "fill": list(range(channels))}
    assert_parity(ElasticTransform(**arguments), v2.ElasticTransform(**arguments), images)


def test_draws_that_follow_are_torchvisions() -> None:
    ours = Compose([ElasticTransform(sigma=1.5), RandomRotation(30), ElasticTransform(sigma=0.5)])
    theirs = v2.Compose([v2.ElasticTransform(sigma=1.5), v2.RandomRotation(30), v2.ElasticTransform(sigma=0.5)])
    assert_parity(ours, theirs, make_images(sizes=((7, 13), (30, 21), (64, 80))), range(6))


@pytest.mark.parametrize(
    "arguments",
    [
        {"displacement": displacements()},
        {"displacement": displacements().double(), "fill": 3, "interpolation": "nearest"},
        {"displacement": displacements(), "fill": [1, 2, 3.0], "interpolation": 2},
        {"displacement": displacements((3, 4)), "fill": [1]},
        {"displacement": [1, 2]},
    ],
    ids=("floats", "doubles", "a fill", "another size", "no tensor"),
)
def test_the_functional_on_every_kind(arguments: dict[str, Any]) -> None:
    # torchvision looks at the number of values only where there are pixels
    assert_parity_of_leaves(elastic, arguments, without="no masks" if "fill" in arguments else "nothing")
    assert elastic is elastic_transform


@settings(max_examples=60)
@given(
    format=st.sampled_from(FORMATS),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64]),
    mode=st.sampled_from(["soft", "hard", None]),
    seed=st.integers(0, 99),
)
def test_boxes_over_all_parameters(format: Any, dtype: torch.dtype, mode: str | None, seed: int) -> None:
    assume(dtype.is_floating_point or format in FORMATS[:3])
    boxes = make_boxes(SIZE, format, dtype=dtype, clamping_mode=mode, seed=seed)
    assert_leaf_parity(elastic, boxes, {"displacement": displacements(seed=seed)})


@pytest.mark.parametrize(
    "arguments", [{"sigma": 2.0}, {"alpha": 90, "sigma": [0.5, 1], "fill": 7, "interpolation": "nearest"}], ids=str
)
def test_every_target(arguments: dict[str, object]) -> None:
    assert_target_parity(ElasticTransform(**arguments), v2.ElasticTransform(**arguments), seeds=(0, 1))


@settings(max_examples=12)
@given(
    alpha=st.floats(-200, 200) | st.lists(st.floats(-200, 200), min_size=1, max_size=2),
    sigma=st.floats(0.05, 3) | st.lists(st.floats(0.05, 3), min_size=1, max_size=2) | st.just(0),
    interpolation=st.sampled_from(MODES),
    fill=st.none() | st.floats(0, 255),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_the_class_over_all_parameters(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    structures = [make_structure(size), make_picture_structure(size)]
    assert_target_parity(ElasticTransform(**arguments), v2.ElasticTransform(**arguments), structures, seeds=(seed,))


def test_a_fill_for_each_kind() -> None:
    fills = {"Image": [9, 8, 7], "Mask": 3, "others": 2}
    theirs = {tv_tensors.Image: [9, 8, 7], tv_tensors.Mask: 3, "others": 2}
    ours, oracle = (
        kind(300.0, 1.0, fill=fill) for kind, fill in ((ElasticTransform, fills), (v2.ElasticTransform, theirs))
    )
    assert_target_parity(ours, oracle, [make_structure((40, 60)), make_picture_structure((40, 60))], seeds=(1,))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pictures_of_every_mode(mode: str) -> None:
    structure = make_picture_structure((20, 31)) | {"image": make_picture_structure((20, 31))["image"].convert(mode)}
    assert_target_parity(ElasticTransform(sigma=1), v2.ElasticTransform(sigma=1), [structure], seeds=(0,))


def test_the_parameters_alone() -> None:
    # Those of torchvision are smoothed by a kernel of its first version, which rounds otherwise: a few units of the
    # last place of the noise, which is in -1 to 1, times alpha / 40.
    for seed in range(5):
        torch.manual_seed(seed)
        ours = ElasticTransform.get_params([50.0, 20.0], [2.0, 1.0], [40, 60])
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        theirs = v2.ElasticTransform.get_params([50.0, 20.0], [2.0, 1.0], [40, 60])
        assert torch.equal(state, torch.get_rng_state())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-7)


def test_no_matrix_says_where_points_go() -> None:
    assert elastic_geometry(*SIZE, displacements()) == (None, SIZE)
    record = Pipeline([ElasticTransform(sigma=1)])([make_noise(SIZE)], [0], records=True).records[0]
    displacement = record.calls[0].arguments["displacement"]
    assert elastic_geometry(*SIZE, displacement) == (None, SIZE)
    with pytest.raises(InvalidInput, match="displacements of 23 x 34 do not suit 30 x 40 pixels"):
        elastic_geometry(30, 40, displacement)


def test_leading_dimensions() -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    arguments = (displacements((8, 9)), "bilinear", 9)
    assert torch.equal(elastic_image(video, *arguments), tv_functional.elastic_image(video, *arguments))


@pytest.mark.parametrize("interpolation", MODES)
def test_a_row_of_a_batch_is_what_it_is_alone(interpolation: str) -> None:
    images = [make_noise((31, 45), seed=seed) for seed in range(5)]
    op = ElasticTransform(90, 2, interpolation).draw(Lanes(range(5)), Frames.of(images))
    together = op.run(merged(Batch.of(images).blocks)).stack()
    for row, image in enumerate(images):
        assert_same(op[row : row + 1].image(image[None])[0], together[row], f"row {row}")


def test_what_cannot_be_mapped_is_refused() -> None:
    message = r"ElasticTransform.sigma 5 is too large for an image of 20 x 30: more than 20 pixels are needed"
    with pytest.raises(InvalidInput, match=message):
        Pipeline([ElasticTransform()])([make_noise((20, 30))], [0])
    with pytest.raises(InvalidInput, match="has 2 values"):
        Pipeline([ElasticTransform(sigma=1, fill=[1, 2])])([make_noise((9, 9))], [0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": "1"}, "a number or a list of one or two numbers"),
        ({"alpha": [1, 2, 3]}, "a number or a list of one or two numbers"),
        ({"sigma": -1}, "-1 is less than 0"),
        ({"sigma": [0, 1]}, r"sigma \[0, 1\] smooths along one side only"),
        ({"interpolation": "bicubic"}, "allowed: nearest, bilinear"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ElasticTransform(**arguments)
