"""Programs of colours by our kernels, in Triton's interpreter, give the bytes of the CPU's loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from parity import assert_same, channels_last
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch
from augserve_pipelines.kernels.color_codes import Code
from augserve_pipelines.kernels.color_programs import segments
from augserve_pipelines.kernels.launching import interpreted
from augserve_pipelines.ops import merged
from augserve_pipelines.transforms.programs import ColorProgram
from factories import make_image, make_noise

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels are compiled for the device here")

SIZES = ((1, 1), (7, 13), (2, 9), (33, 65), (16, 16))
SHIPPED = Path(__file__).parents[2] / "configs" / "pipelines"
ORDERS = [sum(channel * 3**place for place, channel in enumerate(order)) for order in itertools.permutations(range(3))]
VALUES: dict[Code, Sequence[float]] = {
    Code.BRIGHTNESS: (0.0, 0.3, 1.0, 1 + 2**-23, 255.0),
    Code.SATURATION: (0.0, 0.3, 1.0, 2.5, 255.0),
    Code.HUE: (-0.5, -0.1, 0.0, 1 / 3, 0.5),
    Code.PERMUTE: ORDERS,
    Code.POSTERIZE: (0, 128, 240, 255),
    Code.SOLARIZE: (0.0, 17.5, 128.0, 255.0),
    Code.CONTRAST: (0.0, 1e-7, 0.3, 1.0, 2.5),
    Code.SHARPNESS: (0.0, 0.1, 1.0, 1.9, 7.0),
}


def make_inputs(channels: int, sizes: Sequence[tuple[int, int]] = SIZES) -> list[Tensor]:
    """Noise, photographs and flat images, in both layouts."""
    images = []
    for size in sizes:
        images += [make_noise(size, channels=channels), channels_last(make_noise(size, channels=channels, seed=1))]
        images += [make_image(size, channels=channels) // 4 + 90, torch.full((channels, *size), 77, dtype=torch.uint8)]
    return images


def assert_same_bytes(program: ColorProgram, images: Sequence[Tensor]) -> None:
    expected = list(program.run(Batch.of(images)))
    with interpreted():
        apart, together = program.run(Batch.of(images)), program.run(merged(Batch.of(images).blocks))
    for i, image in enumerate(expected):
        where = f"{[*images[i].shape]}, {program.codes[i].tolist()}, {program.values[i].tolist()}"
        assert_same(apart[i], image, where)
        assert_same(together[i], image, f"in a dense block, {where}")


def make_program(count: int, steps: Sequence[Sequence[Code]], seed: int = 0) -> ColorProgram:
    rng = np.random.default_rng(seed)
    rows = [steps[i % len(steps)] for i in range(count)]
    values = [[float(rng.choice(VALUES.get(code, (0.0,)))) for code in row] for row in rows]
    return ColorProgram(np.array(rows, np.int64), np.array(values))


@pytest.mark.parametrize("code", list(Code)[1:], ids=lambda code: code.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_step_gives_the_bytes_of_the_cpu(code: Code, channels: int) -> None:
    images = make_inputs(channels)
    assert_same_bytes(make_program(len(images), [[code]]), images)


def test_all_orders_of_jitter_give_the_bytes_of_the_cpu() -> None:
    orders = list(itertools.permutations([Code.BRIGHTNESS, Code.CONTRAST, Code.SATURATION, Code.HUE]))
    noise = [make_noise((7, 13), seed=i) for i in range(24)]
    images = [channels_last(image) if i % 3 == 0 else image for i, image in enumerate(noise)]
    assert_same_bytes(make_program(len(images), orders), images)


@pytest.mark.parametrize("seed", range(3))
def test_random_programs_give_the_bytes_of_the_cpu(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = make_inputs(3, SIZES[1:4]) + make_inputs(1, SIZES[1:3])
    steps = [[Code(code) for code in row] for row in rng.integers(0, len(Code), (len(images), 5))]
    assert_same_bytes(make_program(len(images), steps, seed), images)


@pytest.mark.parametrize("count", [80_001, 131_077])
def test_a_mean_of_more_than_float32_holds_is_added_up_as_torch_does(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(180, 256, (1, 1, count), dtype=torch.uint8, generator=generator)
    program = ColorProgram(np.full((3, 1), Code.CONTRAST), np.array([[0.001], [0.7], [1.3]]))
    expected = list(program.run(Batch.of([image] * 3)))
    with interpreted():
        for result, other in zip(program.run(Batch.of([image] * 3)), expected, strict=True):
            assert_same(result, other, f"{count} pixels")


def test_jitter_takes_two_segments_and_two_operations_at_most_three() -> None:
    jitter = np.array(list(itertools.permutations([Code.BRIGHTNESS, Code.CONTRAST, Code.SATURATION, Code.HUE])))
    assert len(segments(jitter)) == 2
    pairs = np.array(list(itertools.product(list(Code)[1:], repeat=2)))
    assert len(segments(pairs)) == 3
    assert len(segments(np.array([[Code.HUE, Code.INVERT, Code.GRAY]]))) == 1
    assert len(segments(np.array([[Code.SHARPNESS, Code.HUE]]))) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [T.ColorJitter(0.8, 0.8, 0.8, 0.2)],
        [T.RandomResizedCrop(16), T.RandomApply([T.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8), T.RandomGrayscale(0.3)],
        [T.RandAugment(magnitude=20)],
        [T.AutoAugment()],
        [T.TrivialAugmentWide()],
        [T.RandomPhotometricDistort(p=0.7)],
        [T.RandomSolarize(90), T.RandomPosterize(3), T.RandomInvert(), T.RandomEqualize(), T.RandomAutocontrast()],
        [T.RandomAdjustSharpness(1.9), T.RandomChannelPermutation(), T.RandomAdjustSharpness(0.1), T.Grayscale(3)],
    ],
    ids=lambda steps: type(steps[0]).__name__,
)
def test_pipelines_give_the_bytes_of_the_cpu(steps: list[T.Transform]) -> None:
    images = [make_image((20, 30)), channels_last(make_noise((20, 30))), make_noise((9, 31)), make_image((33, 16))] * 4
    seeds = range(len(images))
    expected = Pipeline(steps)(images, seeds)
    with interpreted():
        actual = Pipeline(steps)(images, seeds)
    for i, image in enumerate(expected):
        assert_same(actual[i], image, f"image {i}")


def test_a_shipped_pipeline_gives_the_bytes_of_the_cpu() -> None:
    pipeline, images = (
        Pipeline.load(SHIPPED / "imagenet_randaugment.yaml"),
        [make_image((40, 50)), make_noise((30, 20))],
    )
    expected = pipeline(images, [3, 4]).stack()
    with interpreted():
        assert_same(pipeline(images, [3, 4]).stack(), expected, "imagenet_randaugment")
