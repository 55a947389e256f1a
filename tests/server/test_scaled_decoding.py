"""JPEGs decoded faster: at a fraction of their size, and with their chroma repeated."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from augserve_pipelines import DecodeRule, Frames, InputRule, Pipeline, executor
from augserve_pipelines import transforms as T
from augserve_pipelines.scaled import at_factors, largest_factors, scaled_side
from augserve_server.codecs import EXACT, Way, decode, most_factor, peek
from augserve_server.decoding import Decoder, Encoded
from augserve_server.errors import ImageCorrupt, ImageTruncated
from augserve_server.metrics import Metrics
from augserve_server.pixels import mirrors
from augserve_server.place import Place
from augserve_server.work import OverImages
from factories import SIZES, make_file, photograph_path

RULE = InputRule()
EXAMPLES = ("china", "flower", "grace_hopper", "rocket", "hubble", "retina")
FILES = {name: photograph_path(name).read_bytes() for name in EXAMPLES} | {
    name: make_file("JPEG", name=name, quality=90) for name in ("coffee", "astronaut", "motorcycle")
}


def read(data: bytes, way: Way = EXACT, rule: InputRule = RULE) -> Tensor:
    return torch.from_numpy(decode(data, peek(data), rule, way)).permute(2, 0, 1)


def decibels(result: Tensor, expected: Tensor) -> float:
    """The peak signal to noise ratio."""
    error = float((result.double() - expected.double()).square().mean())
    return 10 * math.log10(255**2 / max(error, 1e-3))


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_sides_are_divided_and_rounded_up(factor: int, mode: str, options: dict[str, object]) -> None:
    for height, width in SIZES:
        data = make_file("JPEG", (height, width), mode, **options)
        for rule in (InputRule(), InputRule(mode="L")):
            pixels = decode(data, peek(data), rule, Way(factor=factor))
            assert pixels.shape == (scaled_side(height, factor), scaled_side(width, factor), rule.channels)
            assert pixels.flags.c_contiguous
            assert pixels.flags.writeable


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_pixel_is_about_the_mean_of_those_that_it_stands_for(factor: int) -> None:
    data = make_file("JPEG", (256, 320), quality=95)
    means = torch.nn.functional.avg_pool2d(read(data).double(), factor)
    assert decibels(read(data, Way(factor=factor)), means) > 42  # 42.4, 47.6 and 51.8 were measured


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_smaller_image_is_turned_upright_too(orientation: int) -> None:
    data = make_file("JPEG", (101, 155), orientation=orientation, quality=95)
    pixels = read(data, Way(factor=2))
    rows, columns = mirrors(orientation)
    height, width = (155, 101) if orientation >= 5 else (101, 155)
    assert pixels.shape == (3, scaled_side(height, 2), scaled_side(width, 2))
    inside = read(data)[:, rows:, columns:][:, : height // 2 * 2, : width // 2 * 2].double()  # whole squares only
    means = torch.nn.functional.avg_pool2d(inside, 2)
    assert decibels(pixels[:, rows:, columns:][:, : height // 2, : width // 2], means) > 40


def test_other_formats_have_one_size() -> None:
    for data in (make_file("PNG", (40, 50)), make_file("JPEG", (40, 50), "CMYK")):
        assert most_factor(peek(data)) == 1
        with pytest.raises(ValueError, match="is decoded at 1 at most"):
            decode(data, peek(data), RULE, Way(factor=2))
    assert most_factor(peek(make_file())) == 8
    with pytest.raises(ValueError, match="factor is 3; allowed: 1, 2, 4, 8"):
        Way(factor=3)


def test_damage_is_found_at_every_factor() -> None:
    data = make_file("JPEG", (200, 300))
    stray = data[:-2] + b"\0\0\0" + data[-2:]  # harmless: Pillow decodes it, in full
    for factor in (1, 2, 4, 8):
        with pytest.raises(ImageTruncated):
            read(data[: len(data) // 2], Way(factor=factor))
        with pytest.raises(ImageCorrupt, match=r"another size|cannot be decoded"):
            decode(data, peek(make_file("JPEG", (200, 340))), RULE, Way(factor=factor))
        assert decibels(read(stray, Way(factor=factor)), read(data, Way(factor=factor))) > 35


def test_chroma_repeated_changes_chroma_only() -> None:
    data = make_file("JPEG", (200, 300), quality=90)
    exact, fast = read(data), read(data, Way("fast"))
    assert not torch.equal(exact, fast)
    assert decibels(fast, exact) > 35
    gray = InputRule(mode="L")
    assert (
        read(data, EXACT, gray).int() - read(data, Way("fast"), gray).int()
    ).abs().max() <= 4  # where colours are clipped
    full = make_file("JPEG", (200, 300), subsampling=0)
    assert torch.equal(read(full), read(full, Way("fast")))


# The least of what these photographs gave, in decibels; a window's edges move by up to half a pixel of the result.
@pytest.mark.parametrize(
    ("steps", "least", "median"),
    [
        ([T.Resize((100, 100)), T.RandomHorizontalFlip()], 31.2, 40.0),
        ([T.Resize(72), T.CenterCrop(64)], 37.5, 41.0),
        ([T.RandomResizedCrop(64), T.RandomHorizontalFlip()], 26.5, 34.0),
    ],
    ids=str,
)
def test_results_of_photographs_are_close_to_those_of_full_decoding(
    steps: list[T.Transform], least: float, median: float
) -> None:
    found, count = [], 4
    for data in FILES.values():
        whole = read(data)
        plan = Pipeline(steps).plan(Frames.of([whole] * count), range(count))
        factors = largest_factors(plan, np.full(count, most_factor(peek(data))))
        smaller = [read(data, Way(factor=factor)) for factor in factors.tolist()]
        pairs = zip(executor.run(at_factors(plan, factors), smaller), executor.run(plan, [whole] * count), strict=True)
        found += [decibels(*pair) for factor, pair in zip(factors, pairs, strict=True) if factor > 1]
    assert len(found) > 10
    assert (min(found) >= least, float(np.median(found)) >= median) == (True, True), (min(found), np.median(found))


@pytest.mark.parametrize(
    "rule", [DecodeRule(jpeg="fast"), DecodeRule(scale="dct"), DecodeRule(jpeg="fast", scale="dct")]
)
def test_images_are_decoded_as_their_pipeline_allows(rule: DecodeRule) -> None:
    pipeline = Pipeline([T.RandomResizedCrop(48), T.RandomHorizontalFlip()], decode=rule)
    files = [*FILES.values(), make_file("PNG", (300, 400)), make_file("JPEG", (301, 403), orientation=6)]
    decoder = Decoder(1, Metrics())
    images = [decoder.later(Encoded(data, peek(data)), RULE, rule, lambda: True) for data in files]
    later = [image for image in images if image is not None for _ in range(3)]
    results = OverImages(pipeline).run(later, range(len(later)), Place(torch.device("cpu")), int)
    decoder.close()
    plan = pipeline.plan(Frames.decoded([image.shape for image in later]), range(len(later)))
    factors = np.ones(len(later), np.int64)
    mirrored = np.array([image.mirrored for image in later])
    if rule.scale == "dct":
        factors = largest_factors(plan, np.array([image.most_factor for image in later]), mirrored)
        assert set(factors.tolist()) >= {2, 4}
    pixels = [
        read(image.image.data, Way(rule.jpeg, factor)) for image, factor in zip(later, factors.tolist(), strict=True)
    ]
    expected = executor.run(at_factors(plan, factors, mirrored), pixels)
    assert len(results) == len(later) == 30  # what has no orientation in its header is decoded before
    assert all(torch.equal(*pair) for pair in zip(results, expected, strict=True))
