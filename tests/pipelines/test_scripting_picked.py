"""TorchScript: the augmentations that are picked from a list give their eager bytes."""

from __future__ import annotations

import pytest
import torch
from scripted import DEPRECATED, assert_scripted, make_images
from torch import nn

from augserve_pipelines import transforms

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

SIZES = ((40, 52), (31, 17))


@pytest.mark.parametrize(
    "transform",
    [
        transforms.AutoAugment(),
        transforms.AutoAugment("cifar10"),
        transforms.AutoAugment("svhn", interpolation="bilinear", fill=[1.0, 2.0, 3.0]),
        transforms.RandAugment(),
        transforms.RandAugment(3, 20, interpolation="bilinear", fill=7),
        transforms.RandAugment(0),
        transforms.TrivialAugmentWide(),
        transforms.TrivialAugmentWide(11, interpolation="bilinear", fill=0),
        transforms.AugMix(),
        transforms.AugMix(5, 2, 2, 0.5, all_ops=False, fill=[9.0]),
    ],
    ids=lambda transform: f"{type(transform).__name__}({transform.extra_repr()})",
)
def test_picked_augmentations_give_their_eager_bytes(transform: nn.Module) -> None:
    images = [*make_images(torch.uint8, 3, SIZES), *make_images(torch.float32, 3, SIZES)]
    assert_scripted(transform, images, seeds=range(24))
