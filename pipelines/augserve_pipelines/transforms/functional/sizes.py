"""How large an input is, and how many channels and frames it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.dispatch import Functional
from augserve_pipelines.transforms.pictures import deprecated
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, Video
from augserve_pipelines.tv_tensors.interop import kind_of

__all__ = [
    "get_dimensions",
    "get_dimensions_image",
    "get_dimensions_video",
    "get_image_num_channels",
    "get_image_size",
    "get_num_channels",
    "get_num_channels_image",
    "get_num_channels_video",
    "get_num_frames",
    "get_num_frames_video",
    "get_size",
    "get_size_bounding_boxes",
    "get_size_image",
    "get_size_keypoints",
    "get_size_mask",
    "get_size_video",
]

Kernel = Callable[[Any], Any]


class Measure(Functional):
    """A functional that gives numbers; its kernels get the input as it is, with its metadata."""

    def apply(self, leaf: Any, arguments: Mapping[str, Any]) -> Any:
        """What the kernel for the kind of the input says of it."""
        kind: Any = kind_of(leaf)
        kernel = self._registered_for(leaf) or self._kernels[kind]
        return kernel(leaf)


def measure(kernels: Mapping[type, Kernel]) -> Callable[[Callable[..., Any]], Measure]:
    """Make a measure of a function that only declares its parameter."""
    return lambda declared: Measure(declared, kernels, None, None)


def get_dimensions_image(image: Tensor) -> list[int]:
    """Channels, height and width of ``[..., C, H, W]``, or of ``[H, W]``.

    Raises:
        TypeError: it has less than two dimensions.
    """
    return [get_num_channels_image(image), *get_size_image(image)]


def get_dimensions_video(video: Tensor) -> list[int]:
    """Channels, height and width of ``[..., T, C, H, W]``."""
    return get_dimensions_image(video)


def _get_dimensions_picture(image: Picture.Image) -> list[int]:
    return [_get_num_channels_picture(image), *_get_size_picture(image)]


@measure(
    {
        Tensor: get_dimensions_image,
        Image: get_dimensions_image,
        Video: get_dimensions_video,
        Picture.Image: _get_dimensions_picture,
    }
)
def get_dimensions(inpt: Any) -> list[int]:
    """Channels, height and width of an image or a video."""
    raise NotImplementedError


def get_num_channels_image(image: Tensor) -> int:
    """The channels of ``[..., C, H, W]``; 1 of ``[H, W]``.

    Raises:
        TypeError: it has less than two dimensions.
    """
    _check_dimensions(image)
    return image.shape[-3] if image.ndim > 2 else 1


def get_num_channels_video(video: Tensor) -> int:
    """The channels of ``[..., T, C, H, W]``."""
    return get_num_channels_image(video)


def _get_num_channels_picture(image: Picture.Image) -> int:
    return len(image.getbands())


@measure(
    {
        Tensor: get_num_channels_image,
        Image: get_num_channels_image,
        Video: get_num_channels_video,
        Picture.Image: _get_num_channels_picture,
    }
)
def get_num_channels(inpt: Any) -> int:
    """The number of channels of an image or a video."""
    raise NotImplementedError


get_image_num_channels = get_num_channels


def get_size_image(image: Tensor) -> list[int]:
    """Height and width of ``[..., H, W]``.

    Raises:
        TypeError: it has less than two dimensions.
    """
    _check_dimensions(image)
    return [*image.shape[-2:]]


def get_size_video(video: Tensor) -> list[int]:
    """Height and width of ``[..., T, C, H, W]``."""
    return get_size_image(video)


def get_size_mask(mask: Tensor) -> list[int]:
    """Height and width of ``[..., H, W]``."""
    return get_size_image(mask)


def get_size_bounding_boxes(bounding_box: BoundingBoxes) -> list[int]:
    """Height and width of the image that boxes are on."""
    return list(bounding_box.canvas_size)


def get_size_keypoints(keypoints: KeyPoints) -> list[int]:
    """Height and width of the image that points are on."""
    return list(keypoints.canvas_size)


def _get_size_picture(image: Picture.Image) -> list[int]:
    return [image.height, image.width]


@measure(
    {
        Tensor: get_size_image,
        Image: get_size_image,
        Video: get_size_video,
        Picture.Image: _get_size_picture,
        Mask: get_size_mask,
        BoundingBoxes: get_size_bounding_boxes,
        KeyPoints: get_size_keypoints,
    }
)
def get_size(inpt: Any) -> list[int]:
    """Height and width of an input of any kind."""
    raise NotImplementedError


def get_image_size(inpt: Any) -> list[int]:
    """Width and height, in this order, of an image. Of v1: ``get_size`` is the newer way.

    Raises:
        TypeError: it is no image.
    """
    deprecated("get_image_size(...)", "get_size(...), which gives [height, width]")
    if not isinstance(inpt, Tensor | Picture.Image):
        raise TypeError(f"get_image_size takes an image, got {type(inpt).__name__}")
    return (_get_size_picture(inpt) if isinstance(inpt, Picture.Image) else get_size_image(inpt))[::-1]


def get_num_frames_video(video: Tensor) -> int:
    """The frames of ``[..., T, C, H, W]``."""
    return video.shape[-4]


@measure({Tensor: get_num_frames_video, Video: get_num_frames_video})
def get_num_frames(inpt: Any) -> int:
    """The number of frames of a video."""
    raise NotImplementedError


def _check_dimensions(image: Tensor) -> None:
    if image.ndim < 2:
        raise TypeError(f"an image has at least two dimensions, this has {image.ndim}")
