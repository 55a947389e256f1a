"""Erasing against torchvision, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import SEEDS, assert_parity, channels_last, make_images
from targets import (
    as_ours,
    assert_eager_target_parity,
    assert_same_structure,
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
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Select, merged
from augserve_pipelines.transforms import Compose, Normalize, RandomErasing, ToDtype
from augserve_pipelines.transforms.erasing import Erase, NormalNoise, erase, erase_image
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2

SMALL = ((1, 1), (1, 9), (9, 1), (7, 13), (30, 21))


def erase_of(op: object) -> Erase:
    while isinstance(op, Select):
        op = op.op
    assert isinstance(op, Erase)
    return op


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"p": 0},
        {"p": 1},
        {"p": 1, "value": 127.5},
        {"p": 1, "value": [9]},
        {"p": 0.7, "value": [1, 2.5, 300]},
        {"p": 1, "value": "random"},
        {"p": 0.5, "value": "random", "scale": (0, 0.01)},
        {"p": 1, "scale": (0.5, 1.0), "ratio": (0.1, 9.0)},
        {"p": 1, "scale": (0, 0), "value": 3},
    ],
    ids=str,
)
def test_every_parameter(arguments: dict[str, object], dtype: torch.dtype) -> None:
    images = make_images(dtype, sizes=(*SMALL, (64, 64), (213, 160), (333, 500)))
    assert_parity(RandomErasing(**arguments), v2.RandomErasing(**arguments), images, range(12))


@pytest.mark.parametrize("value", [5.0, [1, 2, 3], "random"], ids=str)
@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.float16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, value: object) -> None:
    images = [make_noise(size).to(dtype) for size in SMALL]
    assert_parity(RandomErasing(1, value=value), v2.RandomErasing(1, value=value), images)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    images = [make_noise((27, 13), channels=channels), channels_last(make_noise((20, 9), channels=channels))]
    for value in (list(range(channels)), "random"):
        assert_parity(RandomErasing(1, value=value), v2.RandomErasing(1, value=value), images)


def test_draws_that_follow_are_torchvisions() -> None:
    ours = Compose([RandomErasing(0.7, value=value) for value in ("random", 4, "random")])
    theirs = v2.Compose([v2.RandomErasing(0.7, value=value) for value in ("random", 4, "random")])
    assert_parity(ours, theirs, make_images(torch.float32, sizes=(*SMALL, (64, 80))))


def test_the_golden_draws() -> None:
    frames = Frames.of([torch.empty(3, 480, 640)] * 3)
    op = erase_of(RandomErasing(1).draw(Lanes([0, 1, 2]), frames))
    assert list(zip(op.top, op.left, op.height, op.width, strict=True)) == [
        (81, 66, 172, 462),
        (8, 75, 161, 204),
        (108, 262, 242, 175),
    ]


def test_where_no_rectangle_is_smaller_the_sample_stays() -> None:
    images = [make_noise((16, 16), seed=seed) for seed in range(4)]
    arguments = {"p": 1, "scale": (1, 1), "ratio": (1, 1)}
    for image, result in zip(images, Pipeline([RandomErasing(**arguments)])(images, range(4)), strict=True):
        assert torch.equal(image, result)
    assert_parity(RandomErasing(**arguments), v2.RandomErasing(**arguments), images)


def test_a_row_of_a_batch_is_what_it_is_alone() -> None:
    images = [make_noise((31, 45), torch.float32, seed=seed) for seed in range(8)]
    batch = Batch.of(images)
    op = RandomErasing(0.6, value="random").draw(Lanes(range(8)), Frames.of(images))
    together = op.run(merged(batch.blocks))
    for row, image in enumerate(images):
        alone = RandomErasing(0.6, value="random").draw(Lanes([row]), Frames.of([image])).run(Batch.of([image]))
        assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize("values", [torch.tensor([7.0])[:, None, None], torch.ones(3, 5, 6), torch.ones(1, 3, 1, 1)])
def test_the_functional_on_every_kind(values: torch.Tensor) -> None:
    # torchvision does not see that values have more dimensions than a tensor [C, H, W]
    assert_parity_of_leaves(erase, {"i": 3, "j": 4, "h": 5, "w": 6, "v": values})


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pictures_of_every_mode(mode: str) -> None:
    picture = make_picture(size=(20, 31)).convert(mode)
    assert_eager_target_parity(RandomErasing(1, value=7), v2.RandomErasing(1, value=7), picture)


@pytest.mark.parametrize("value", [9, [1, 2, 3], "random"])
def test_images_videos_and_pictures(value: object) -> None:
    ours, theirs = RandomErasing(0.7, value=value), v2.RandomErasing(0.7, value=value)
    structures = [make_structure((40, 60), dtype) for dtype in (torch.uint8, torch.float32)]
    structures += [make_video_structure((40, 60)), make_picture_structure((40, 60))]
    alone = [{key: one for key, one in made.items() if key in ("image", "video", "labels")} for made in structures]
    assert_target_parity(ours, theirs, alone, seeds=range(4))


@settings(max_examples=12)
@given(
    p=st.sampled_from([0.5, 1.0]),
    scale=st.tuples(st.floats(0, 0.3), st.floats(0.3, 1)),
    ratio=st.tuples(st.floats(0.1, 1), st.floats(1, 9)),
    value=st.floats(0, 255) | st.just([1.0, 2.0, 3.0]) | st.just("random"),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_the_class_over_all_parameters(size: tuple[int, int], seed: int, **arguments: Any) -> None:
    structures = [{"image": make_structure(size)["image"]}, make_video_structure(size)["video"]]
    assert_target_parity(RandomErasing(**arguments), v2.RandomErasing(**arguments), structures, seeds=(seed,))


def test_what_cannot_be_erased_passes_with_a_warning() -> None:
    sample = make_structure((40, 60))
    for seed in range(3):
        torch.manual_seed(seed)
        with pytest.warns(UserWarning, match="passing through") as theirs:
            expected = v2.RandomErasing(1)(dict(sample))
        for own in (sample, as_ours(sample)):
            torch.manual_seed(seed)
            with pytest.warns(UserWarning, match="RandomErasing leaves .* as they are") as ours:
                actual = RandomErasing(1)(dict(own))
            assert len(ours) == len(theirs)
            assert_same_structure(as_ours(actual), as_ours(expected), f"seed {seed}")
        (result,) = Pipeline([RandomErasing(1)])([as_ours(sample)], [seed])
        assert_same_structure(result, as_ours(expected), f"in a pipeline, seed {seed}")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_not_erased_may_be_of_another_size() -> None:
    sample = {"image": make_structure((40, 60))["image"], "boxes": make_boxes((10, 15))}
    for seed in range(4):
        assert_eager_target_parity(RandomErasing(), v2.RandomErasing(), sample, seed)
    with pytest.raises(ValueError, match="inputs of one size"):
        RandomErasing(1)(sample["image"], tv_tensors.Image(sample["image"][:, 1:]))


def test_what_is_no_image_is_refused_where_it_fires() -> None:
    boxes = make_boxes((40, 60))
    with pytest.raises(TypeError, match="no image or video"):
        RandomErasing(1)(boxes)
    assert RandomErasing(0)(boxes) is boxes
    assert_eager_target_parity(RandomErasing(1), v2.RandomErasing(1), boxes)


def test_noise_is_drawn_where_it_is_needed() -> None:
    op = RandomErasing(1, value="random").draw(Lanes([0, 1]), Frames.of([torch.empty(3, 30, 40)] * 2))
    for noise in erase_of(op).values:
        assert isinstance(noise, NormalNoise)
        assert noise.count == noise.value().numel()
        assert torch.equal(noise.value(), noise.value())


@pytest.mark.parametrize("value", [None, [4.0], [1.0, 2.0, 3.0]])
def test_the_parameters_alone(value: list[float] | None) -> None:
    for image, scale in ((torch.rand(3, 40, 60), (0.02, 0.3)), (torch.rand(3, 4, 4), (1.0, 1.0))):
        for seed in range(4):
            torch.manual_seed(seed)
            *ours, values = RandomErasing.get_params(image, scale, (1.0, 1.5), value)
            torch.manual_seed(seed)
            *theirs, expected = v2.RandomErasing.get_params(image, scale, (1.0, 1.5), value)
            assert ours == theirs
            assert torch.equal(values, expected)


def test_leading_dimensions() -> None:
    video = torch.stack([make_noise((8, 9), seed=seed) for seed in range(6)]).reshape(2, 3, 3, 8, 9)
    value = torch.tensor([1.0, 2.5, 3.0])[:, None, None]
    assert torch.equal(erase_image(video, 1, 2, 3, 4, value), tv_functional.erase_image(video, 1, 2, 3, 4, value))


def test_eager_use_in_place_changes_the_image_it_is_given() -> None:
    for seed in SEEDS[:6]:
        image, theirs = make_noise((20, 30)), make_noise((20, 30))
        torch.manual_seed(seed)
        result = RandomErasing(0.8, value=7, inplace=True)(image)
        torch.manual_seed(seed)
        v2.RandomErasing(0.8, value=7, inplace=True)(theirs)
        assert torch.equal(image, theirs)
        assert result.data_ptr() == image.data_ptr()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_pipeline_never_changes_its_images(inplace: bool) -> None:
    images = [channels_last(make_image((40, 30))), make_image((40, 30)), make_image((9, 20))]
    before = [image.clone() for image in images]
    steps = [RandomErasing(1, value=[1, 2, 3], inplace=inplace), ToDtype(torch.float32, True), Normalize([0.5], [0.5])]
    batch = Pipeline([*steps, RandomErasing(1, value="random", inplace=inplace)])(images, [1, 2, 3])
    steps = [v2.RandomErasing(1, value=[1, 2, 3]), v2.ToDtype(torch.float32, True), v2.Normalize([0.5], [0.5])]
    theirs = v2.Compose([*steps, v2.RandomErasing(1, value="random")])
    for seed, image, kept, result in zip([1, 2, 3], images, before, batch, strict=True):
        assert torch.equal(image, kept)
        torch.manual_seed(seed)
        assert torch.equal(result, theirs(image))


def test_a_value_of_the_wrong_length_is_refused_where_it_fires() -> None:
    image = make_noise((9, 9))
    message = r"value \[1, 2\] has 2 numbers for an image of 3 channels: it takes one number, or one for each channel"
    with pytest.raises(InvalidInput, match=message):
        Pipeline([RandomErasing(1, value=[1, 2])])([image], [0])
    (result,) = Pipeline([RandomErasing(0, value=[1, 2])])([image], [0])
    assert torch.equal(result, image)
    assert_parity(RandomErasing(0.5, value=[1, 2]), v2.RandomErasing(0.5, value=[1, 2]), [image])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 1.5}, "1.5 is greater than 1"),
        ({"scale": (0.5, 1.2)}, "1.2 is greater than 1"),
        ({"scale": (0.5, 0.2)}, "0.5 is greater than 0.2"),
        ({"scale": 0.5}, "two numbers"),
        ({"ratio": (0, 1)}, "0 is not greater than 0"),
        ({"value": "noise"}, "'random'"),
        ({"value": []}, "value"),
        ({"inplace": 1}, "true or false"),
    ],
)
def test_refused_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomErasing(**arguments)
