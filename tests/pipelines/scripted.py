"""The bench of TorchScript: a transform against what ``torch.jit.script`` makes of it, over images and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from parity import assert_same, channels_last
from torch import Tensor, nn

from factories import make_image, make_noise

SIZES = ((64, 80), (7, 13), (100, 37), (24, 24))
SEEDS = range(4)

# torch says so of itself each time
DEPRECATED = "ignore:.torch.jit.*is deprecated:DeprecationWarning"


@cache
def make_images(dtype: torch.dtype, channels: int = 3, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Tensor]:
    """Photographs in both layouts and noise, alone and together in a batch."""
    images = []
    for size in sizes:
        photograph, noise = make_image(size, dtype, channels=channels), make_noise(size, dtype, channels=channels)
        images += [photograph, channels_last(photograph), noise, torch.stack([photograph, noise])]
    return images


def assert_scripted(
    transform: nn.Module,
    images: Sequence[Tensor] | None = None,
    seeds: Sequence[int] = SEEDS,
) -> None:
    """The script gives the transform's eager bytes and makes its draws; where the one raises, so does the other."""
    script = torch.jit.script(transform)
    given = [*make_images(torch.uint8), *make_images(torch.float32)] if images is None else images
    results = 0
    for image in given:
        for seed in seeds:
            expected, end = _run(transform, image, seed)
            actual, state = _run(script, image, seed)
            where = f"seed {seed}, {[*image.shape]} {image.dtype}"
            assert isinstance(actual, Exception) == isinstance(expected, Exception), f"{where}: {actual}, {expected}"
            if isinstance(actual, Exception):
                continue
            for one, other in zip(_tensors(actual), _tensors(expected), strict=True):
                assert_same(one, other, where)
            assert torch.equal(state, end), f"other draws, {where}"
            results += 1
    assert results


def _run(transform: nn.Module, image: Tensor, seed: int) -> tuple[Any, Tensor]:
    torch.default_generator.manual_seed(seed)
    try:
        result = transform(image)
    except (ValueError, TypeError, RuntimeError, torch.jit.Error) as error:
        result = error
    return result, torch.get_rng_state()


def _tensors(result: Tensor | tuple[Tensor, ...]) -> Iterator[Tensor]:
    yield from [result] if isinstance(result, Tensor) else result
