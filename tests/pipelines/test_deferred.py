"""Images that are decoded on the way give what decoded ones give, once each, and fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from parity import channels_last
from torch import Tensor

from augserve_pipelines import InvalidInput, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.deferred import Loaded, pieces, put
from factories import make_image

STEPS = [
    T.RandomResizedCrop(48),
    T.RandomHorizontalFlip(),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.ToDtype(torch.float32, scale=True),
    T.GaussianNoise(),
]


@dataclass(eq=False)
class Encoded:
    """An image that says when it is decoded, or what goes wrong then."""

    image: Tensor
    error: Exception | None = None
    said: tuple[int, int, int] | None = None
    loads: list[int] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.image.shape
        return self.said or (channels, height, width)

    most_factor = 1
    mirrored = (False, False)

    def at(self, factor: int) -> Encoded:
        return self

    def load(self) -> Tensor:
        self.loads.append(1)
        if self.error is not None:
            raise self.error
        return self.image

    def load_into(self, room: NDArray[np.uint8]) -> None:
        put(self.load().movedim(0, -1).numpy(), room)


def encoded(count: int) -> list[Encoded]:
    return [Encoded(channels_last(make_image((60 + 7 * i, 90 - i)))) for i in range(count)]


def tensors(results: Sequence[Tensor | Exception]) -> list[Tensor]:
    return [result for result in results if isinstance(result, Tensor)]


@pytest.mark.parametrize("steps", [STEPS, [T.CenterCrop((50, 40))], [T.Resize(33)], []], ids=str)
def test_results_are_those_of_decoded_images(steps: list[T.Transform]) -> None:
    images, pipeline = encoded(11), Pipeline(steps)
    found = pipeline.decode_and_run(images, range(11))
    expected = pipeline([image.image for image in images], range(11))
    assert all(torch.equal(a, b) for a, b in zip(tensors(found), expected, strict=True))
    assert [len(image.loads) for image in images] == [1] * 11


def test_views_of_an_image_share_one_decoding() -> None:
    images, pipeline = encoded(3), Pipeline(STEPS)
    views = [image for image in images for _ in range(9)]
    found = pipeline.decode_and_run(views, range(27))
    expected = pipeline([view.image for view in views], range(27))
    assert all(torch.equal(a, b) for a, b in zip(tensors(found), expected, strict=True))
    assert [len(image.loads) for image in images] == [1] * 3


def test_an_image_that_does_not_decode_fails_alone() -> None:
    images, pipeline = encoded(9), Pipeline(STEPS)
    images[4].error = OSError("broken")
    found = pipeline.decode_and_run(images, range(9))
    assert found[4] is images[4].error
    expected = pipeline([image.image for image in images], range(9))
    assert all(torch.equal(a, b) for i, (a, b) in enumerate(zip(found, expected, strict=True)) if i != 4)  # type: ignore[arg-type]  # the others are tensors


def test_an_image_of_another_size_than_was_said_fails_alone() -> None:
    images = encoded(3)
    images[1].said = (3, 1000, 1000)
    first, second, third = Pipeline(STEPS).decode_and_run(images, range(3))
    assert isinstance(second, InvalidInput)
    assert "1000" in str(second)
    assert isinstance(first, Tensor)
    assert isinstance(third, Tensor)


def test_images_that_are_there_already_are_drawn_for_as_they_lie() -> None:
    pipeline = Pipeline([T.ToDtype(torch.float32, scale=True), T.GaussianNoise()])
    there = [make_image((20, 30)), channels_last(make_image((20, 30))), make_image((20, 30), torch.float32)]
    found = pipeline.decode_and_run([*map(Loaded, there), *encoded(1)], range(4))
    expected = pipeline([*there, encoded(1)[0].image], range(4))
    assert all(torch.equal(a, b) for a, b in zip(tensors(found), expected, strict=True))


def test_what_no_pixels_could_change_is_refused_before_anything_is_decoded() -> None:
    images = encoded(3)
    with pytest.raises(InvalidInput, match="RandomCrop takes a window of 500 x 500"):
        Pipeline([T.RandomCrop(500)]).decode_and_run(images, range(3))
    assert not any(image.loads for image in images)


def test_pieces_end_where_pixels_or_images_are_enough() -> None:
    images = [Loaded(torch.empty(3, side, side)) for side in (10, 10, 50, 10, 10, 10, 10)]
    assert [*pieces(images, 3, 1000)] == [slice(0, 2), slice(2, 3), slice(3, 6), slice(6, 7)]
    assert [*pieces([images[0]] * 7, 4, 150)] == [slice(0, 4), slice(4, 7)]
    assert [*pieces([], 4, 150)] == []
