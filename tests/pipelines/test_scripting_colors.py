"""TorchScript: changes of colour and blurs give their eager bytes."""

from __future__ import annotations

import pytest
import torch
from scripted import DEPRECATED, assert_scripted, make_images
from torch import nn

from augserve_pipelines import transforms
from factories import make_image

pytestmark = pytest.mark.filterwarnings(DEPRECATED)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Grayscale(),
        transforms.Grayscale(3),
        transforms.RandomGrayscale(0.5),
        transforms.RandomInvert(),
        transforms.RandomPosterize(3),
        transforms.RandomPosterize(8, 1.0),
        transforms.RandomSolarize(0.5),
        transforms.RandomSolarize(128),
        transforms.RandomAdjustSharpness(2.0),
        transforms.RandomAdjustSharpness(0.3),
        transforms.RandomAutocontrast(),
        transforms.RandomEqualize(),
        transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
        transforms.ColorJitter(brightness=0.7),
        transforms.ColorJitter(contrast=(0.2, 3.0)),
        transforms.ColorJitter(saturation=(0.5, 2.0)),
        transforms.ColorJitter(hue=0.5),
        transforms.ColorJitter(),
        transforms.GaussianBlur(5),
        transforms.GaussianBlur((3, 7), sigma=1.5),
        transforms.GaussianBlur([15], sigma=(0.1, 3.0)),
    ],
    ids=lambda transform: f"{type(transform).__name__}({transform.extra_repr()})",
)
def test_changes_of_colour_give_their_eager_bytes(transform: nn.Module) -> None:
    assert_scripted(transform)


def test_gray_images_give_their_eager_bytes() -> None:
    images = [*make_images(torch.uint8, 1, ((33, 20),)), *make_images(torch.float32, 1, ((33, 20),))]
    for transform in (
        transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
        transforms.Grayscale(3),
        transforms.RandomAutocontrast(1.0),
        transforms.GaussianBlur(3),
    ):
        assert_scripted(transform, images)


def test_images_of_two_channels_are_refused_where_they_are_eagerly() -> None:
    image = make_image((20, 20))[:2]
    for transform in (transforms.ColorJitter(hue=0.1), transforms.Grayscale(), transforms.RandomAutocontrast(1.0)):
        with pytest.raises(torch.jit.Error, match="1 or 3 channels"):
            torch.jit.script(transform)(image)
