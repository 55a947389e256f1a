"""The oracle's bench for functionals: every kind of image, exactly, and TypeError for what has no kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from parity import channels_last
from PIL import Image as Picture
from targets import as_ours, assert_same_leaf, make_boxes
from torch import Tensor

from augserve_pipelines.dispatch import Functional
from augserve_pipelines.frames import is_interleaved
from factories import make_image, make_noise, make_picture
from oracle import tv_tensors

SIZES = ((1, 1), (7, 13), (33, 30))
DTYPES = (torch.uint8, torch.float32)
MODES = ("RGB", "L")


def assert_functional_parity(
    ours: Functional,
    theirs: Callable[..., Any],
    *arguments: Any,
    dtypes: Sequence[torch.dtype] = DTYPES,
    channels: Sequence[int] = (1, 3),
    modes: Sequence[str] = MODES,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> None:
    """One functional under one set of arguments: tensors, images and videos of both layouts, and PIL images."""
    for leaf in make_leaves(dtypes, channels, modes, sizes):
        assert_call_parity(ours, theirs, leaf, *arguments)
    for target in (make_boxes((8, 8)), tv_tensors.Mask(torch.zeros(8, 8)), [1, 2], "a name"):
        with pytest.raises(TypeError):
            ours(target, *arguments)


def assert_call_parity(ours: Functional, theirs: Callable[..., Any], leaf: Any, *arguments: Any) -> None:
    """``ours(leaf)`` and ``theirs(leaf)`` under one seed: the same leaf in the same layout, or an error of both."""
    where = f"{ours.name}{arguments} of {_shown(leaf)}"
    torch.manual_seed(0)
    try:
        expected = theirs(leaf, *arguments)
    except Exception:  # noqa: BLE001  # whatever torchvision raises, ours must raise what it documents
        with pytest.raises((TypeError, ValueError)):
            ours(leaf, *arguments)
        return
    for own, converted in ((leaf, expected), (as_ours(leaf), as_ours(expected))):
        torch.manual_seed(0)
        actual = ours(own, *arguments)
        assert_same_leaf(actual, converted, where)
        if isinstance(expected, Tensor):
            assert is_interleaved(actual) == is_interleaved(expected), where


def make_leaves(
    dtypes: Sequence[torch.dtype], channels: Sequence[int], modes: Sequence[str], sizes: Sequence[tuple[int, int]]
) -> Iterator[Any]:
    """Photographs and noise as every kind of input that has pixels."""
    for size in sizes:
        yield from (make_picture(size=size, mode=mode) for mode in modes)
        for dtype in dtypes:
            for count in channels:
                photograph = _of_dtype(make_image(size, channels=count), dtype)
                noise = _of_dtype(make_noise(size, channels=count), dtype)
                yield from (photograph, channels_last(photograph), tv_tensors.Image(noise))
                yield torch.stack([photograph, noise])
                yield tv_tensors.Video(torch.stack([noise, photograph]).unsqueeze(0))


def _of_dtype(image: Tensor, dtype: torch.dtype) -> Tensor:
    """An image of bytes in the range of another dtype."""
    if dtype.is_floating_point:
        return (image / 255).to(dtype)
    return (image.double() / 255 * torch.iinfo(dtype).max).to(dtype) if dtype != torch.uint8 else image


def _shown(leaf: Any) -> str:
    if isinstance(leaf, Picture.Image):
        return f"a PIL image of mode {leaf.mode}, {leaf.size}"
    return f"{type(leaf).__name__} {[*leaf.shape]} {leaf.dtype}"
