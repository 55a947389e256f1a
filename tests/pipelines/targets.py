"""The oracle's bench for everything beside an image: masks, boxes of all formats, key points, videos, PIL images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from parity import assert_same
from PIL import Image as Picture
from torch import Tensor
from torch.utils import _pytree as pytree

from augserve_pipelines import tv_tensors as ours
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.tv_tensors.interop import kind_of, metadata
from factories import make_image, make_picture
from oracle import tv_tensors as theirs
from oracle import v2

Structure = dict[str, Any]

SIZES = ((40, 60), (61, 47), (33, 33))
SEEDS = (0, 1, 2, 3, 7, 2**40 + 5)
FORMATS = tuple(theirs.BoundingBoxFormat)
METADATA = ("format", "canvas_size", "clamping_mode")


def make_boxes(
    size: tuple[int, int],
    format: theirs.BoundingBoxFormat | str = "XYXY",
    *,
    count: int = 5,
    dtype: torch.dtype = torch.float32,
    clamping_mode: str | None = "soft",
    seed: int = 0,
) -> theirs.BoundingBoxes:
    """Random boxes of torchvision, some of them partly outside the canvas of (height, width) ``size``."""
    format = theirs.BoundingBoxFormat[format] if isinstance(format, str) else format
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(count, 2, generator=generator) * torch.tensor([width, height])
    sides = 2 + torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) / 2
    if format in (theirs.BoundingBoxFormat.XYXY, theirs.BoundingBoxFormat.XYWH, theirs.BoundingBoxFormat.CXCYWH):
        data, start = torch.cat([centers, sides], 1), theirs.BoundingBoxFormat.CXCYWH
    else:
        angles = 360 * torch.rand(count, 1, generator=generator) - 180
        data, start = torch.cat([centers, sides, angles], 1), theirs.BoundingBoxFormat.CXCYWHR
    made = v2.functional.convert_bounding_box_format(data, old_format=start, new_format=format).to(dtype)
    return theirs.BoundingBoxes(made, format=format, canvas_size=size, clamping_mode=clamping_mode)


def make_structure(size: tuple[int, int] = SIZES[0], dtype: torch.dtype = torch.uint8) -> Structure:
    """An image with every kind of target that torchvision knows."""
    height, width = size
    generator = torch.Generator().manual_seed(height)
    points = torch.rand(6, 2, generator=generator) * torch.tensor([width, height])
    labels = torch.arange(5)
    return {
        "image": theirs.Image(make_image(size, dtype)),
        "semantic": theirs.Mask(torch.randint(0, 21, size, generator=generator, dtype=torch.uint8)),
        "instances": theirs.Mask(torch.rand(5, *size, generator=generator) < 0.5),
        "numbers": theirs.Mask(torch.randint(0, 900, size, generator=generator)),
        **{format.name: make_boxes(size, format, seed=width) for format in FORMATS},
        "integers": make_boxes(size, dtype=torch.int64, seed=1),
        "unclamped": make_boxes(size, "CXCYWH", clamping_mode=None, seed=2),
        "hard": make_boxes(size, "XYWHR", clamping_mode="hard", seed=3),
        "empty": make_boxes(size, count=0),
        "keypoints": theirs.KeyPoints(points, canvas_size=size),
        "skeletons": theirs.KeyPoints(points.long().view(2, 3, 2), canvas_size=size),
        "no points": theirs.KeyPoints(torch.zeros(0, 2), canvas_size=size),
        "labels": labels,
        "name": "a photograph",
    }


def make_video_structure(size: tuple[int, int] = SIZES[0], dtype: torch.dtype = torch.uint8) -> Structure:
    """Three frames of a video, with a mask and boxes."""
    frames = torch.stack([make_image(size, dtype, name=name) for name in ("china", "flower", "chelsea")])
    mask = theirs.Mask(torch.randint(0, 3, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))
    return {"video": theirs.Video(frames), "mask": mask, "boxes": make_boxes(size)}


def make_picture_structure(size: tuple[int, int] = SIZES[0], mode: str = "RGB") -> Structure:
    """A PIL image with boxes and a tensor that is no image."""
    return {"image": make_picture(size=size, mode=mode), "boxes": make_boxes(size), "labels": torch.arange(5)}


def assert_target_parity(
    transform: Transform,
    oracle: v2.Transform,
    structures: Sequence[Any] | None = None,
    seeds: Sequence[int] = SEEDS,
    *,
    without: Sequence[str] = (),
    pictures: bool = True,
    videos: bool = True,
) -> None:
    """A transform gives what torchvision gives for every target: eagerly, and in a pipeline of many samples.

    Args:
        transform: ours.
        oracle: torchvision's.
        structures: what to transform; absent: all kinds of targets, videos and PIL images, in several sizes.
        seeds: the seeds of each structure.
        without: keys to leave out of the default structures.
        pictures: whether PIL images are among the default structures.
        videos: whether videos are.
    """
    if structures is None:
        structures = [make_structure(size) for size in SIZES] + [make_structure(SIZES[0], torch.float32)]
        structures += [make_video_structure()] if videos else []
        structures += [make_picture_structure(size) for size in SIZES] if pictures else []
        structures = [{key: one for key, one in made.items() if key not in without} for made in structures]
    good: list[tuple[Any, int, Any]] = []
    for structure in structures:
        for seed in seeds:
            expected = assert_eager_target_parity(transform, oracle, structure, seed)
            if not isinstance(expected, Exception) and not _has_pictures(structure):
                good.append((structure, seed, expected))
    if good:
        _assert_pipeline(transform, good)


def assert_eager_target_parity(transform: Transform, oracle: v2.Transform, structure: Any, seed: int = 0) -> Any:
    """Eagerly, on torchvision's own tensors and on ours: one structure, one state of the generator; what it gave."""
    torch.manual_seed(seed)
    try:
        expected = oracle(_copied(structure))
    except Exception as error:  # noqa: BLE001  # whatever torchvision raises, ours must raise what it documents
        for own in (structure, as_ours(structure)):
            torch.manual_seed(seed)
            with pytest.raises((TypeError, ValueError)):
                transform(_copied(own))
        return error
    state = torch.random.get_rng_state()
    for own, converted in ((structure, expected), (as_ours(structure), as_ours(expected))):
        torch.manual_seed(seed)
        actual = transform(_copied(own))
        assert_same_structure(actual, converted, f"eagerly, seed {seed}")
        assert torch.equal(torch.random.get_rng_state(), state), f"other draws than torchvision's, seed {seed}"
    return expected


def assert_same_structure(actual: Any, expected: Any, where: str) -> None:
    """Equality of structures: of types, metadata and every bit; PIL images by mode and pixels."""
    flat, structure = pytree.tree_flatten(expected)
    own, own_structure = pytree.tree_flatten(actual)
    assert own_structure == structure, where
    for (path, _), leaf, reference in zip(pytree.tree_flatten_with_path(expected)[0], own, flat, strict=True):
        assert_same_leaf(leaf, reference, f"{where}, {pytree.keystr(path)}")


def assert_same_leaf(actual: Any, expected: Any, where: str) -> None:
    """Equality of two leaves."""
    if isinstance(expected, Picture.Image):
        assert isinstance(actual, Picture.Image), where
        assert (actual.mode, actual.size) == (expected.mode, expected.size), where
        assert actual.tobytes() == expected.tobytes(), where
    elif isinstance(expected, Tensor):
        assert type(actual) is type(expected), where
        assert _metadata(actual) == _metadata(expected), where
        assert_same(actual.as_subclass(Tensor), expected.as_subclass(Tensor), where)
    else:
        assert actual == expected, where


def as_ours(value: Any) -> Any:
    """A structure with torchvision's tensors as ours."""
    return pytree.tree_map(_leaf_as_ours, value)


def _leaf_as_ours(leaf: Any) -> Any:
    kind = kind_of(leaf)
    if not isinstance(leaf, Tensor) or kind is Tensor or kind is None:
        return leaf
    make: Callable[..., Tensor] = getattr(ours, kind.__name__)
    return make(leaf.as_subclass(Tensor).clone(), **metadata(leaf))


def _assert_pipeline(transform: Transform, good: Sequence[tuple[Any, int, Any]]) -> None:
    structures = [as_ours(structure) for structure, _, _ in good]
    results = Pipeline([transform])(structures, [seed for _, seed, _ in good])
    for result, (_, seed, expected) in zip(results, good, strict=True):
        assert_same_structure(result, as_ours(expected), f"in a pipeline, seed {seed}")


def _metadata(leaf: Tensor) -> Mapping[str, Any]:
    found = {name: getattr(leaf, name) for name in METADATA if hasattr(leaf, name)}
    return {name: tuple(one) if isinstance(one, list | tuple) else one for name, one in found.items()}


def _has_pictures(value: Any) -> bool:
    return any(isinstance(leaf, Picture.Image) for leaf in pytree.tree_leaves(value))


def _copied(value: Any) -> Any:
    return pytree.tree_map(_copied_leaf, value)


def _copied_leaf(leaf: Any) -> Any:
    if isinstance(leaf, Picture.Image):
        return leaf.copy()
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
