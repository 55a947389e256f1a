"""Resize against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import assert_parity_of_leaves
from parity import assert_eager_parity, assert_parity, channels_last, make_images
from targets import (
    FORMATS,
    as_ours,
    assert_same_leaf,
    assert_target_parity,
    make_boxes,
    make_picture_structure,
    make_video_structure,
)

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.transforms.resize import resize, resize_bounding_boxes, resize_image
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("interpolation", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False, None])
def test_modes(dtype: torch.dtype, interpolation: str, antialias: bool | None) -> None:
    kwargs: dict[str, Any] = {"size": (48, 65), "interpolation": interpolation, "antialias": antialias}
    assert_parity(transforms.Resize(**kwargs), v2.Resize(**kwargs), make_images(dtype), seeds=[0])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 32},
        {"size": [32]},
        {"size": 32, "max_size": 40},
        {"size": None, "max_size": 70},
        {"size": (64, 64)},
        {"size": (300, 7), "interpolation": 3},
        {"size": (1, 2), "interpolation": transforms.InterpolationMode.BICUBIC},
    ],
)
def test_sizes(kwargs: dict[str, Any]) -> None:
    theirs = {key: getattr(value, "value", value) for key, value in kwargs.items()}
    assert_parity(transforms.Resize(**kwargs), v2.Resize(**theirs), seeds=[0])


def test_one_pixel_of_planes_is_one_pixel_of_pixels() -> None:
    """torch fails an internal check on planes here, and not where the channels of a pixel lie side by side."""
    image = make_image((40, 60))
    with pytest.raises(RuntimeError, match="INTERNAL ASSERT"):
        v2.Resize((1, 1))(image)
    expected = v2.Resize((1, 1))(channels_last(image))
    assert torch.equal(transforms.Resize((1, 1))(image), expected)


def test_positional_arguments_are_torchvisions() -> None:
    assert_parity(transforms.Resize(20, "bicubic", 30, False), v2.Resize(20, "bicubic", 30, False), seeds=[0])


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels(channels: int) -> None:
    image = make_image((40, 60)).repeat(2, 1, 1)[:channels]
    assert_parity(transforms.Resize((33, 31)), v2.Resize((33, 31)), [image], seeds=[0])


def test_a_batch_dimension_is_kept_eagerly() -> None:
    images = torch.stack([make_image((40, 60)), make_image((40, 60), name="coffee")])
    assert torch.equal(transforms.Resize(24)(images), v2.Resize(24)(images))


def test_a_result_without_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"1 x 0 pixels of 500 x 2 .* at least 1 x 1"):
        Pipeline([transforms.Resize(None, max_size=1)])([make_image((500, 2))], [0])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((None,), "one of them is needed"),
        ((30, "bilinear", 30), "must be greater than size, which is 30"),
        (((30, 40), "bilinear", 50), "size is one number or null"),
        ((0,), "size"),
    ],
)
def test_bad_arguments_are_refused(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transforms.Resize(*args)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"size": 20},
        {"size": (33, 33)},
        {"size": None, "max_size": 50},
        {"size": (50, 20), "interpolation": "nearest-exact"},
        {"size": 24, "max_size": 30, "interpolation": "lanczos"},
    ],
    ids=str,
)
def test_every_kind(kwargs: dict[str, Any]) -> None:
    assert_target_parity(transforms.Resize(**kwargs), v2.Resize(**kwargs), seeds=(0,))


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": [11, 13]},
        {"size": 12, "interpolation": "nearest"},
        {"size": [9], "max_size": 12, "interpolation": "nearest-exact"},
        {"size": None, "max_size": 60, "interpolation": "bicubic"},
        {"size": [23, 34], "interpolation": "hamming"},
        {"size": [23, 50], "interpolation": "lanczos", "antialias": None},
        {"size": [23, 50], "interpolation": "box"},
        {"size": [3, 2], "interpolation": 2},
        {"size": [3, 2], "max_size": 9},
        {"size": 9, "max_size": 9},
        {"size": [3, 2, 1]},
        {"size": None},
        {"size": [0, 5]},
        {"size": 5, "interpolation": "cubic"},
    ],
    ids=str,
)
def test_the_functional_on_every_kind(arguments: dict[str, Any]) -> None:
    without = "empty"
    if arguments["size"] in ([3, 2, 1], [0, 5]):  # where torchvision makes masks and boxes without pixels
        for leaf in (make_noise((9, 9)), make_picture(size=(9, 9))):
            with pytest.raises((ValueError, TypeError)):
                resize(leaf, **arguments)
        return
    assert_parity_of_leaves(resize, arguments, without=without)


@given(
    format=st.sampled_from(FORMATS),
    mode=st.sampled_from(["soft", "hard", None]),
    size=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_boxes(format: Any, mode: Any, size: tuple[int, int], seed: int) -> None:
    boxes = make_boxes((30, 47), format, seed=seed).as_subclass(torch.Tensor).expand(2, -1, -1)
    ours = resize_bounding_boxes(boxes, (30, 47), size, format=format, clamping_mode=mode)
    theirs = tv_functional.resize_bounding_boxes(boxes, (30, 47), [*size], format=format, clamping_mode=mode)
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=0, equal_nan=True)
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("interpolation", ["box", "hamming", "lanczos", "bicubic", "nearest-exact", 4])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "I;16", "F"])
def test_pictures_by_every_filter(mode: str, interpolation: Any) -> None:
    structure = make_picture_structure() | {"image": make_picture(size=(40, 60)).convert(mode)}
    ours, theirs = (one.Resize((20, 70), interpolation) for one in (transforms, v2))
    assert_target_parity(ours, theirs, [structure], seeds=(0,))


def test_pictures_are_antialiased_with_a_warning() -> None:
    picture = make_picture(size=(40, 60))
    with pytest.warns(UserWarning, match="False is ignored"):
        ours = transforms.Resize(20, antialias=False)(picture)
    assert_same_leaf(ours, v2.Resize(20, antialias=True)(picture), "a picture")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((20, 30), "box"), "'box' is for PIL images; tensors take nearest, nearest-exact, bilinear, bicubic, lanczos"),
        (((20, 30), "lanczos", None, False), "'lanczos' resizes tensors with antialias only"),
    ],
)
def test_modes_that_tensors_do_not_have(arguments: tuple[Any, ...], message: str) -> None:
    transform = transforms.Resize(*arguments)
    assert_eager_parity(transform, v2.Resize(*arguments), make_noise((9, 9)))
    with pytest.raises(InvalidInput, match=message):
        transform(make_noise((20, 30)))
    for sample in (make_noise((9, 9)), as_ours(make_video_structure())):
        with pytest.raises(InvalidInput, match=message):
            Pipeline([transform])([sample], [0])
    assert_target_parity(transform, v2.Resize(*arguments), [make_boxes((40, 60))], seeds=(0,))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.int16])
def test_results_lie_as_torchvisions(dtype: torch.dtype, interpolation: str) -> None:
    """Noise that is drawn for them follows that."""
    image = make_noise((20, 31)).to(dtype)
    pixels = channels_last(image)
    videos = [torch.stack([image, image]), torch.stack([image.permute(1, 2, 0)] * 2).permute(0, 3, 1, 2)]
    for own in (image, pixels, pixels[:, 2:, 3:], image[:, 2:, 3:], image[:1], *videos):
        ours = resize_image(own, [9, 40], interpolation)
        theirs = tv_functional.resize_image(own, [9, 40], interpolation)
        assert torch.equal(ours, theirs)
        assert is_interleaved(ours) == is_interleaved(theirs)


@pytest.mark.parametrize("kwargs", [{"size": 20}, {"size": None, "max_size": 30}, {"size": [25], "max_size": 33}])
def test_targets_of_another_size_keep_their_aspect_ratio(kwargs: dict[str, Any]) -> None:
    sample = [
        tv_tensors.Image(make_noise((30, 40))),
        tv_tensors.Mask(torch.zeros(60, 35, dtype=torch.uint8)),
        make_boxes((20, 50)),
    ]
    assert_target_parity(transforms.Resize(**kwargs), v2.Resize(**kwargs), [sample], seeds=(0,))


def test_videos_are_resampled_frame_by_frame() -> None:
    """Crop, resize, flip and the way to floats are one step for them too."""
    names = ["RandomResizedCrop", "RandomHorizontalFlip", "CenterCrop"]
    arguments = [((20, 24),), (0.5,), (18,)]
    videos = [make_video_structure(size)["video"] for size in ((40, 60), (31, 33))]
    for tail in (False, True):
        ours, theirs = (
            [getattr(one, name)(*own) for name, own in zip(names, arguments, strict=True)] for one in (transforms, v2)
        )
        if tail:
            for steps, one in ((ours, transforms), (theirs, v2)):
                steps += [one.ToDtype(torch.float32, scale=True), one.Normalize([0.5] * 3, [0.2, 0.3, 0.4])]
        seeds = [0, 1, 2, 3]
        results = Pipeline(ours)([as_ours(video) for video in videos * 2], seeds)
        for video, seed, result in zip(videos * 2, seeds, results, strict=True):
            torch.manual_seed(seed)
            assert_same_leaf(result, as_ours(v2.Compose(theirs)(video)), f"seed {seed}")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_one_column_of_pixels_is_one_column_of_planes(mode: str) -> None:
    image = channels_last(make_image((31, 16), torch.float32))
    transform = transforms.Resize((3, 1), interpolation=mode)
    planes = v2.Resize((3, 1), interpolation=v2.InterpolationMode(mode))(image.contiguous())
    assert torch.equal(Pipeline([transform])([image], [0])[0], planes)
    assert torch.equal(transform(image), planes)
    wrong = v2.Resize((3, 1), interpolation=v2.InterpolationMode(mode))(image)
    assert (wrong - planes).abs().max() > 1e-3
