"""The oracle's bench: a transform of ours against torchvision's, exactly, over images, layouts and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from augserve_pipelines.batch import Batch
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import merged
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.transforms.base import Transform
from factories import NAMES, SIZES, make_image, make_noise
from oracle import v2

# Small ones, neighbours, the ends of 32 bits and beyond: torch's CPU generator keeps the low 32 bits of a seed.
SEEDS = (*range(16), 42, 1234, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 7, 2**63 - 1)

# Beyond those of the factories: larger than most crops, and flat enough to be scaled up on one side only.
MORE_SIZES = ((31, 290), (256, 256), (480, 363))

EAGER_SEEDS = 3  # how many of the seeds are tried eagerly too

# Images of more pixels than this take a quarter of the seeds, each image another quarter: a test takes seconds.
_MANY_PIXELS = 30_000

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class Case:
    """One image under one seed, and what torchvision makes of it: an image or an error."""

    image: Tensor
    seed: int
    expected: Tensor | Exception

    def __str__(self) -> str:
        layout = "contiguous" if self.image.is_contiguous() else "channels last"
        return f"seed {self.seed}, {[*self.image.shape]} {self.image.dtype} {layout}"


def make_images(
    dtype: torch.dtype = torch.uint8,
    *,
    channels: int = 3,
    sizes: Sequence[tuple[int, int]] = (*SIZES, *MORE_SIZES),
    smallest: int = 1,
) -> list[Tensor]:
    """Photographs and noise ``[C, H, W]`` of many sizes, in both layouts; none with a side under ``smallest``."""
    images = []
    for place, size in enumerate(sizes):
        if min(size) < smallest:
            continue
        photograph = make_image(size, dtype, name=NAMES[place % len(NAMES)], channels=channels)
        images += [photograph, channels_last(photograph)]
        if max(size) < 100:
            images.append(make_noise(size, dtype, channels=channels, seed=place))
    return images


def channels_last(image: Tensor) -> Tensor:
    """The same image ``[C, H, W]`` as decoders lay it: the channels of a pixel side by side."""
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def assert_parity(
    ours: Transform, theirs: v2.Transform, images: Sequence[Tensor] | None = None, seeds: Sequence[int] = SEEDS
) -> None:
    """Every image under every seed gives torchvision's bytes: in one batch, as dense blocks, and eagerly.

    Where torchvision raises, ours must raise ValueError (``InvalidInput`` is one) or TypeError. Eagerly, torch's global
    generator must end where torchvision leaves it.
    """
    cases = [_case(theirs, image, seed) for image, seed in _pairs(make_images() if images is None else images, seeds)]
    assert cases
    good = [case for case in cases if isinstance(case.expected, Tensor)]
    _check(good, run_batch(ours, [case.image for case in good], [case.seed for case in good]), "in a batch")
    _check(good, _run_dense(ours, good), "in dense blocks")
    for case in cases:
        if not isinstance(case.expected, Tensor):
            with pytest.raises((ValueError, TypeError)):
                run_batch(ours, [case.image], [case.seed])
        if case.seed in seeds[:EAGER_SEEDS]:
            assert_eager_parity(ours, theirs, case.image, seed=case.seed)


def assert_eager_parity(ours: Transform, theirs: v2.Transform, *inputs: object, seed: int = 0) -> None:
    """``ours(*inputs)`` and ``theirs(*inputs)`` under one global seed give one structure and end in one state."""
    _seed(seed)
    try:
        expected = theirs(*inputs)
    except Exception:  # noqa: BLE001  # whatever torchvision raises, ours must raise what it documents
        _seed(seed)
        with pytest.raises((ValueError, TypeError)):
            ours(*inputs)
        return
    state = torch.random.get_rng_state()
    _seed(seed)
    actual = ours(*inputs)
    torch.utils._pytree.tree_map(lambda a, b: assert_same(a, b, f"eagerly, seed {seed}"), actual, expected)
    assert torch.equal(torch.random.get_rng_state(), state), f"other draws than torchvision's, seed {seed}"


def run_batch(ours: Transform, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
    """What the engine makes of all images in one batch."""
    return list(Pipeline([ours])(images, seeds))


def assert_same(actual: object, expected: object, where: str) -> None:
    """Equality to the last bit, with any NaN equal to any other; what is not a tensor is compared with ``==``."""
    if not isinstance(expected, Tensor):
        assert actual == expected, where
        return
    assert isinstance(actual, Tensor), where
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), where
    same = _bits(actual) == _bits(expected)
    if not same.all() and expected.is_floating_point():
        same |= actual.isnan() & expected.isnan()
    assert same.all(), f"{where}: {_difference(actual, expected, ~same)}"


def _pairs(images: Sequence[Tensor], seeds: Sequence[int]) -> Iterator[tuple[Tensor, int]]:
    for place, image in enumerate(images):
        many = image.shape[-1] * image.shape[-2] > _MANY_PIXELS and len(seeds) > 8
        yield from ((image, seed) for seed in (seeds[place % 4 :: 4] if many else seeds))


def _seed(seed: int) -> None:
    """``torch.manual_seed`` for the CPU alone: that one takes a millisecond to note who seeds the GPUs."""
    torch.default_generator.manual_seed(seed)


def _case(theirs: v2.Transform, image: Tensor, seed: int) -> Case:
    _seed(seed)
    try:
        return Case(image, seed, theirs(image))
    except Exception as error:  # noqa: BLE001  # whatever torchvision raises: the test asks whether ours raises too
        return Case(image, seed, error)


def _run_dense(ours: Transform, cases: Sequence[Case]) -> list[Tensor]:
    images = [case.image for case in cases]
    op = ours.draw(Lanes([case.seed for case in cases]), Frames.of(images))
    return list(op.run(merged(Batch.of(images).blocks)))


def _check(cases: Sequence[Case], actual: Sequence[Tensor], where: str) -> None:
    assert len(actual) == len(cases)
    for case, image in zip(cases, actual, strict=True):
        assert_same(image, case.expected, f"{where}, {case}")


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(_BITS[tensor.element_size()])


def _difference(actual: Tensor, expected: Tensor, differs: Tensor) -> str:
    distance = (actual.double() - expected.double()).abs()
    place = tuple(int(i) for i in differs.nonzero()[0])
    return (
        f"{int(differs.sum())} of {differs.numel()} values differ, by {float(distance.nan_to_num().max()):g} at most;"
        f" first at {[*place]}: {actual[place].item()} instead of {expected[place].item()}"
    )
