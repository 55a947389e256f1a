"""Single inputs of every kind, and functionals compared with torchvision's on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from targets import FORMATS, assert_same_leaf, make_boxes

from augserve_pipelines.dispatch import Functional
from factories import make_image, make_picture
from oracle import tv_functional, tv_tensors

SIZE = (23, 34)


@cache
def make_leaves(size: tuple[int, int] = SIZE) -> Mapping[str, Any]:
    """Images, videos, masks, boxes, key points and PIL images of one size, by name."""
    image = make_image(size)
    return {
        "image": tv_tensors.Image(image),
        "floats": tv_tensors.Image(image / 255),
        "tensor": image.to(torch.int16),
        "video": tv_tensors.Video(torch.stack([image, image.flip(-1)])),
        **_masks(size),
        **_boxes(size),
        **_points(size),
        **{f"picture {mode}": make_picture(size=size).convert(mode) for mode in ("RGB", "L", "1", "F", "RGBA", "P")},
    }


def assert_parity_of_leaves(ours: Functional, arguments: Mapping[str, Any], *, without: str = "nothing") -> None:
    """A functional under one set of arguments on every kind of input, but for those with ``without`` in their names."""
    for name, leaf in make_leaves().items():
        if without not in name:
            assert_leaf_parity(ours, leaf, arguments, name)


def assert_leaf_parity(ours: Functional, leaf: Any, arguments: Mapping[str, Any], where: str = "") -> None:
    """A functional gives what torchvision's of its name gives, or refuses what that refuses; its input stays."""
    copied = leaf.copy() if hasattr(leaf, "copy") else leaf.clone()
    try:
        expected = getattr(tv_functional, ours.name)(leaf, **arguments)
    except Exception:  # noqa: BLE001  # whatever torchvision raises, ours must raise what it documents
        with pytest.raises((TypeError, ValueError)):
            ours(copied, **arguments)
        return
    where = f"{ours.name} of {where or type(leaf).__name__}, {arguments}"
    assert_same_leaf(ours(copied, **arguments), expected, where)
    assert_same_leaf(copied, leaf, f"{where}: the input")


def _masks(size: tuple[int, int]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randint(0, 200, (4, *size), generator=generator)
    dtypes = (torch.uint8, torch.int64, torch.bool, torch.float32, torch.int32)
    return {
        **{f"mask {dtype}": tv_tensors.Mask(numbers.to(dtype)) for dtype in dtypes},
        "flat mask": tv_tensors.Mask(numbers[0].to(torch.uint8)),
        "flat mask of booleans": tv_tensors.Mask(numbers[0] > 99),
        "masks of a video": tv_tensors.Mask(numbers.view(2, 2, *size)),
        "no masks": tv_tensors.Mask(torch.zeros(0, *size, dtype=torch.bool)),
    }


def _boxes(size: tuple[int, int]) -> dict[str, Any]:
    made = {
        f"{format.name} {dtype} {mode}": make_boxes(size, format, dtype=dtype, clamping_mode=mode)
        for format in FORMATS
        for dtype, mode in ((torch.float32, "soft"), (torch.float64, "hard"), (torch.float32, None))
    }
    integers = {f"{format.name} of integers": make_boxes(size, format, dtype=torch.int64) for format in FORMATS[:3]}
    empty = {f"no {format.name}": make_boxes(size, format, count=0) for format in FORMATS}
    return {**made, **integers, **empty}


def _points(size: tuple[int, int]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(6, 2, generator=generator) * torch.tensor([size[1], size[0]])
    kinds = {
        "points": points,
        "doubles": points.double(),
        "whole points": points.long(),
        "groups": points.view(2, 3, 2),
    }
    kinds["no points"] = torch.zeros(0, 2)
    return {name: tv_tensors.KeyPoints(data, canvas_size=size) for name, data in kinds.items()}
