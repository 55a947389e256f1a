"""Fused gives the bytes of unfused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from parity import assert_same, make_images

from augserve_pipelines import Frames, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.plan import flat, plan
from augserve_pipelines.transforms.affine import AffineMap
from augserve_pipelines.transforms.affine_warp import AffineWarp
from augserve_pipelines.transforms.channels import PermuteChannels
from augserve_pipelines.transforms.color import Jitter
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.crop import Crop
from augserve_pipelines.transforms.flip import FlipX
from augserve_pipelines.transforms.grayscale import ToGray
from augserve_pipelines.transforms.normalize import Finish, Standardize
from augserve_pipelines.transforms.pad_edges import PadEdges
from augserve_pipelines.transforms.pointwise import Invert, Solarize
from augserve_pipelines.transforms.programs import ColorProgram
from augserve_pipelines.transforms.resample import Resample
from augserve_pipelines.transforms.resize_to import ResizeTo
from augserve_pipelines.transforms.rotation import Rotate
from augserve_pipelines.transforms.tables import Tabled
from factories import make_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FINISH = [T.ToDtype(torch.float32, scale=True), T.Normalize(MEAN, STD)]


@pytest.mark.parametrize(
    ("steps", "unfused", "fused"),
    [
        ([T.RandomResizedCrop(32)], [Crop, ResizeTo], [Resample]),
        ([T.RandomResizedCrop(32), T.RandomHorizontalFlip(1.0)], [Crop, ResizeTo, FlipX], [Resample]),
        ([T.RandomResizedCrop(32), T.RandomHorizontalFlip()], [Crop, ResizeTo, Select], [Resample]),
        (
            [T.Resize(40), T.CenterCrop(20), T.RandomHorizontalFlip(), T.RandomHorizontalFlip()],
            [ResizeTo, Crop, Select, Select],
            [Resample],
        ),
        ([T.Resize(40), T.CenterCrop((20, 400))], [ResizeTo, Crop], [ResizeTo, Crop]),  # which leaves the image
        ([T.Resize(40), T.RandomHorizontalFlip(1.0), T.CenterCrop(20)], [ResizeTo, FlipX, Crop], [Resample, Crop]),
        ([T.RandomResizedCrop(32), *FINISH], [Crop, ResizeTo, CastTo, Standardize], [Resample]),
        ([T.Resize(32), *FINISH], [ResizeTo, CastTo, Standardize], [Resample]),
        ([*FINISH, T.Resize(32)], [CastTo, Standardize, ResizeTo], [Finish, ResizeTo]),
        (
            [T.Resize(50), T.Resize(32), T.RandomVerticalFlip(1.0)],
            [ResizeTo, ResizeTo, None],
            [ResizeTo, ResizeTo, None],  # two interpolations are never merged
        ),
        ([T.ToDtype(torch.float32), *FINISH[1:]], [CastTo, Standardize], [Tabled]),
        ([*FINISH, T.ToDtype(torch.float16)], [CastTo, Standardize, CastTo], [Finish]),
        ([T.RandomCrop(8, padding=[3, 9, 5, 1], pad_if_needed=True, fill=7)], [None, None], None),
        ([T.RandomZoomOut(fill=[9, 8, 7]), T.CenterCrop(9)], [Select, Crop], None),
        ([T.RandomZoomOut(3), T.RandomApply([T.CenterCrop(12)])], [Select, Select], None),
        ([T.Resize(32), *FINISH, T.ToDtype(torch.bfloat16)], [ResizeTo, CastTo, Standardize, CastTo], [Resample]),
        ([T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.RandomGrayscale(0.5)], [Jitter, Select], [ColorProgram]),
        ([T.RandomPosterize(3), T.RandomSolarize(0.5)], [Select, Select], [ColorProgram]),
        ([T.RandomInvert(), T.RandomEqualize(), T.RandomAutocontrast()], [Select] * 3, [ColorProgram]),
        ([T.RandomAdjustSharpness(2), T.RandomChannelPermutation()], [Select, PermuteChannels], [ColorProgram]),
        ([T.RandomPhotometricDistort(), T.Grayscale()], [Jitter, Select, ToGray], [ColorProgram, ToGray]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_fused_equals_unfused(
    steps: list[T.Transform], unfused: list[type[Op]], fused: list[type[Op]] | None, dtype: torch.dtype
) -> None:
    assert_fused(steps, unfused, fused, dtype)


@pytest.mark.parametrize(
    ("steps", "unfused", "fused"),
    [
        (
            [*FINISH, T.ToDtype(torch.float16), T.ToDtype(torch.float32)],
            [CastTo, Standardize, CastTo, CastTo],
            [Tabled],
        ),
        ([T.RandomInvert(1.0), *FINISH], [Invert, CastTo, Standardize], [Tabled]),
        ([T.RandomInvert(), *FINISH], [Select, CastTo, Standardize], [Tabled]),
        ([T.RandomPosterize(3), *FINISH[:1]], [Select, CastTo], [Tabled]),
        ([T.RandomSolarize(100, 1.0), T.RandomInvert(), *FINISH], [Solarize, Select, CastTo, Standardize], [Tabled]),
        ([T.ColorJitter(brightness=0.9), *FINISH], [Jitter, CastTo, Standardize], [Tabled]),
        ([T.RandomApply([T.ColorJitter(0.9)]), T.ToDtype(torch.float16, scale=True)], [Select, CastTo], [Tabled]),
        (
            [T.RandomPosterize(3), T.RandomSolarize(100), T.RandomInvert()],
            [Select] * 3,
            [ColorProgram],
        ),  # at no end yet
        (
            [T.ColorJitter(0.9, 0.9), T.ToDtype(torch.float32)],
            [Jitter, CastTo],
            [ColorProgram, CastTo],
        ),  # contrast averages
        ([*FINISH, T.RandomInvert(1.0)], [CastTo, Standardize, Invert], [Finish, Invert]),  # of floats
        ([T.Resize(32), T.RandomPosterize(3), T.RandomInvert()], [ResizeTo, Select, Select], [Resample]),
        (
            [T.RandomResizedCrop(32), T.RandomInvert(), T.RandomHorizontalFlip(), T.CenterCrop(20), *FINISH],
            [Crop, ResizeTo, Select, Select, Crop, CastTo, Standardize],
            [Resample, Crop, Finish],
        ),
        (
            [T.Resize(40), T.RandomSolarize(90, 1.0), T.CenterCrop(20), T.RandomHorizontalFlip(), *FINISH],
            [ResizeTo, Solarize, Crop, Select, CastTo, Standardize],
            [Resample],
        ),
        ([T.RandomResizedCrop(32), T.ToDtype(torch.float16, scale=True)], [Crop, ResizeTo, CastTo], [Resample]),
        (
            [T.RandomResizedCrop(32), T.RandomInvert(), *FINISH],
            [Crop, ResizeTo, Select, CastTo, Standardize],
            [Resample],
        ),
    ],
)
def test_steps_that_change_every_byte_by_itself_become_tables(
    steps: list[T.Transform], unfused: list[type[Op]], fused: list[type[Op]]
) -> None:
    assert_fused(steps, unfused, fused, torch.uint8)


def assert_fused(
    steps: list[T.Transform], unfused: list[type[Op]], fused: list[type[Op]] | None, dtype: torch.dtype
) -> None:
    images = make_images(dtype)
    frames, lanes = Frames.of(images), Lanes(range(len(images)))
    drawn = Chain(tuple(flat(T.Compose(steps).draw(lanes, frames))))
    planned = plan(drawn, frames)
    if dtype == torch.uint8:
        assert _kinds(drawn.ops, unfused) == unfused
        assert fused is None or _kinds(planned.ops, fused) == fused
    plainly = drawn.run(Batch.of(images))
    fusedly = Pipeline(steps)(images, range(len(images)))
    assert planned.outputs.keys() == drawn.frames(frames).keys()
    for i in range(len(images)):
        assert_same(fusedly[i], plainly[i], f"image {i}")


def test_nothing_is_left_of_steps_that_change_nothing() -> None:
    images = make_images()
    pipeline = Pipeline([T.Identity(), T.ToDtype(torch.uint8, scale=True), T.RandomHorizontalFlip(0.0)])
    assert pipeline.plan(Frames.of(images), range(len(images))).ops == ()
    batch = pipeline(images, range(len(images)))
    for i, image in enumerate(images):
        assert_same(batch[i], image, f"image {i}")
        assert batch[i].data_ptr() != image.data_ptr()


def test_planning_is_pure() -> None:
    images = make_images()
    frames = Frames.of(images)
    op = T.Compose([T.RandomResizedCrop(32), T.RandomHorizontalFlip()]).draw(Lanes(range(len(images))), frames)
    before = [array.copy() for array in (frames.heights, frames.widths)]
    once, twice = plan(op, frames), plan(op, frames)
    assert np.array_equal(once.ops[0].flip, twice.ops[0].flip)
    assert np.array_equal(before, [frames.heights, frames.widths])


def _kinds(ops: tuple[Op, ...], like: list[type[Op] | None]) -> list[type[Op] | None]:
    """The types of ops, or those of ``like`` that they are; None where that is None."""
    kinds: list[type[Op] | None] = []
    for i, op in enumerate(ops):
        known = like[i] if i < len(like) else type(op)
        kinds.append(known if known is None or isinstance(op, known) else type(op))
    return kinds


def test_a_window_of_a_padded_image_is_cut_before_it_is_padded() -> None:
    images = [make_image((30, 40))] * 6
    sides = [np.array(side) for side in ([50, 1, 0, 9, 30, 70], [50, 0, 7, 9, 90, 2], [50, 4, 0, 3, 7, 9], [60] * 6)]
    color = np.array([None, 3, [1.0, 2.0, 3.0], 0, 255, 9], object)
    pad = PadEdges(*sides, None, "constant", color)
    frames = Frames.of(images)
    tops, lefts = np.array([60, 0, 3, 8, 101, 0]), np.array([55, 0, 2, 20, 31, 69])
    crop = Crop(tops, lefts, np.full(6, 11), np.full(6, 14))
    (fused,) = plan(Chain((pad, crop)), frames).ops
    assert isinstance(fused, Chain)
    assert [type(step.op) for step in fused.ops] == [Crop, PadEdges]
    plainly = Chain((pad, crop)).run(Batch.of(images))
    for i, image in enumerate(fused.run(Batch.of(images))):
        assert_same(image, plainly[i], f"row {i}")
    whole = Crop(np.zeros_like(tops), lefts, np.full(6, 1), np.full(6, 14))  # of the padding alone in some rows
    assert plan(Chain((pad, whole)), frames).ops == (pad, whole)


def test_warps_of_different_samples_are_one() -> None:
    images = make_images()
    frames, seeds = Frames.of(images), range(len(images))
    for transform in (T.TrivialAugmentWide(), T.RandAugment(3, interpolation="bilinear"), T.AutoAugment()):
        drawn = Chain(tuple(flat(transform.draw(Lanes(seeds), frames))))
        planned = plan(drawn, frames).ops
        warps = [op for op in planned if isinstance(op, Select) and isinstance(op.op, AffineWarp)]
        assert warps
        for before, after in itertools.pairwise(planned):
            assert not (_warps(before) and _warps(after)) or (before.rows & after.rows).any()
        plainly, fusedly = drawn.run(Batch.of(images)), Pipeline([transform])(images, seeds)
        for i in seeds:
            assert_same(fusedly[i], plainly[i], f"{transform}, image {i}")


def _warps(op: Op) -> bool:
    return isinstance(op, Select) and isinstance(op.op, AffineWarp | AffineMap | Rotate)


def test_the_colours_of_two_operations_end_in_one_program() -> None:
    images = [make_image((24, 30))] * 64
    frames = Frames.of(images)
    drawn = Chain(tuple(flat(T.RandAugment().draw(Lanes(range(64)), frames))))
    planned = plan(drawn, frames)
    assert sum(isinstance(op, ColorProgram) for op in planned.ops) == 1
    plainly, batch = drawn.run(Batch.of(images)), Batch.of(images)
    for op in planned.ops:
        batch = op.run(batch)
    for i in range(64):
        assert_same(batch[i], plainly[i], f"image {i}")
