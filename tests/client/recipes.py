"""Recipes for samples with targets, twice: as the service reads them, and as torchvision has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from augserve import Sample
from augserve_server.settings import shipped_configs
from factories import make_pixels
from oracle import tv_tensors, v2

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
VIDEO_MEAN, VIDEO_STD = [0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]


@dataclass(frozen=True)
class Recipe:
    """One pipeline."""

    yaml: str
    upstream: Callable[[], Any]


def shipped(name: str) -> str:
    """The text of a pipeline that ships."""
    return (shipped_configs() / "pipelines" / f"{name}.yaml").read_text()


RECIPES: Mapping[str, Recipe] = {
    "detection": Recipe(
        shipped("detection"),
        lambda: v2.Compose(
            [
                v2.RandomPhotometricDistort(),
                v2.RandomZoomOut(fill={tv_tensors.Image: [123, 117, 104], "others": 0}),
                v2.RandomIoUCrop(),
                v2.RandomHorizontalFlip(),
                v2.SanitizeBoundingBoxes(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        ),
    ),
    "segmentation": Recipe(
        shipped("segmentation"),
        lambda: v2.Compose(
            [
                v2.RandomResize(260, 1040),
                v2.RandomHorizontalFlip(),
                v2.RandomCrop(480, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0}),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        ),
    ),
    "video": Recipe(
        shipped("video"),
        lambda: v2.Compose(
            [
                v2.UniformTemporalSubsample(16),
                v2.Resize([128, 171], antialias=False),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(VIDEO_MEAN, VIDEO_STD),
                v2.RandomCrop(112),
            ]
        ),
    ),
    "imagenet_randaugment": Recipe(
        shipped("imagenet_randaugment"),
        lambda: v2.Compose(
            [
                v2.RandomResizedCrop(224),
                v2.RandomHorizontalFlip(),
                v2.RandAugment(num_ops=2, magnitude=9),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
                v2.RandomErasing(p=0.1),
            ]
        ),
    ),
    "imagenet_cutmix": Recipe(
        shipped("imagenet_cutmix"),
        lambda: v2.Compose(
            [
                v2.RandomResizedCrop(224),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        ),
    ),
    "keypoints": Recipe(
        """
transforms:
  - RandomAffine: {degrees: 30, translate: [0.1, 0.1], scale: [0.8, 1.2], shear: 10}
  - RandomPerspective: {distortion_scale: 0.3, p: 0.7}
  - RandomHorizontalFlip
  - RandomResizedCrop: {size: 64}
""",
        lambda: v2.Compose(
            [
                v2.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), 10),
                v2.RandomPerspective(0.3, 0.7),
                v2.RandomHorizontalFlip(),
                v2.RandomResizedCrop(64),
            ]
        ),
    ),
    "frames": Recipe(
        """
transforms:
  - RandomResizedCrop: {size: 48}
  - RandomHorizontalFlip
  - ColorJitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
""",
        lambda: v2.Compose([v2.RandomResizedCrop(48), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4, 0.1)]),
    ),
    "elastic": Recipe(
        "transforms: [ElasticTransform, {GaussianNoise: {sigma: 0.1}}]",
        lambda: v2.Compose([v2.ElasticTransform(), v2.GaussianNoise(sigma=0.1)]),
    ),
}


def expected(recipe: str, seed: int, **inputs: Any) -> dict[str, Any]:
    """What torchvision makes of these tv_tensors under ``torch.manual_seed(seed)``."""
    torch.manual_seed(seed)
    outputs: dict[str, Any] = RECIPES[recipe].upstream()(inputs)
    return outputs


def image_of(pixels: np.ndarray) -> Any:
    """torchvision's image, or video, of pixels [..., H, W, C]."""
    kind = tv_tensors.Image if pixels.ndim == 3 else tv_tensors.Video
    return kind(torch.as_tensor(np.moveaxis(pixels, -1, -3).copy()))


def boxes_of(count: int, size: tuple[int, int], format: str = "XYXY", seed: int = 0) -> Any:
    """Boxes in an image of this size (height, width)."""
    height, width = size
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 0.5, (count, 2)) * [width, height]
    extent = random.uniform(0.2, 0.5, (count, 2)) * [width, height]
    columns = {"XYXY": [corner, corner + extent], "XYWH": [corner, extent], "CXCYWH": [corner + extent / 2, extent]}
    values = np.concatenate(columns[format], 1).astype(np.float32)
    return tv_tensors.BoundingBoxes(torch.as_tensor(values), format=format, canvas_size=size)


@dataclass(frozen=True)
class Pair:
    """The same sample as the client takes it, and as torchvision does."""

    sample: Sample
    inputs: Mapping[str, Any]


def detection_pair(i: int, format: str = "XYXY") -> Pair:
    """An image with boxes, a label for each, and a mask for each."""
    size = (90 + 7 * i, 120 - 5 * i)
    pixels, boxes, labels = make_pixels(size=size), boxes_of(4, size, format, seed=i), torch.arange(4) + 10 * i
    masks = np.random.default_rng(i).random((4, *size)) > 0.5
    inputs = {
        "image": image_of(pixels),
        "boxes": boxes,
        "masks": tv_tensors.Mask(torch.as_tensor(masks)),
        "labels": labels,
    }
    return Pair(Sample(pixels, boxes=boxes, masks=masks, labels=labels), inputs)


def image_pair(i: int) -> Pair:
    """An image without anything."""
    pixels = make_pixels(size=(90 + 7 * i, 120 - 5 * i))
    return Pair(Sample(pixels), {"image": image_of(pixels)})


def segmentation_pair(i: int) -> Pair:
    """An image with one class for each pixel."""
    size = (90 + 7 * i, 120 - 5 * i)
    pixels = make_pixels("chelsea", size=size)
    mask = np.random.default_rng(i).integers(0, 21, size).astype(np.uint8)
    return Pair(
        Sample(pixels, masks=mask),
        {"image": image_of(pixels), "masks": tv_tensors.Mask(torch.as_tensor(mask))},
    )


def keypoints_pair(i: int) -> Pair:
    """An image with points, two bodies of five."""
    size = (90 + 7 * i, 120 - 5 * i)
    pixels = make_pixels("chelsea", size=size)
    points = np.random.default_rng(i).uniform(0, 80, (2, 5, 2)).astype(np.float32)
    keypoints = tv_tensors.KeyPoints(torch.as_tensor(points), canvas_size=size)
    return Pair(Sample(pixels, keypoints=points), {"image": image_of(pixels), "keypoints": keypoints})
