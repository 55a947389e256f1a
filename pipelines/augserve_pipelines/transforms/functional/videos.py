"""Kernels of videos that are those of images: frames are one more dimension in front."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

from augserve_pipelines.transforms.adjust import (
    adjust_brightness_image,
    adjust_contrast_image,
    adjust_gamma_image,
    adjust_hue_image,
    adjust_saturation_image,
)
from augserve_pipelines.transforms.affine import affine_image
from augserve_pipelines.transforms.blur import gaussian_blur_image
from augserve_pipelines.transforms.center_crop import center_crop_image
from augserve_pipelines.transforms.channels import permute_channels_image
from augserve_pipelines.transforms.conversion import to_dtype_image
from augserve_pipelines.transforms.crop import crop_image
from augserve_pipelines.transforms.elastic import elastic_image
from augserve_pipelines.transforms.erasing import erase_image
from augserve_pipelines.transforms.five_crop import five_crop_image, ten_crop_image
from augserve_pipelines.transforms.flip import horizontal_flip_image, vertical_flip_image
from augserve_pipelines.transforms.histogram import autocontrast_image, equalize_image
from augserve_pipelines.transforms.jpeg import jpeg_image
from augserve_pipelines.transforms.noise import gaussian_noise_image
from augserve_pipelines.transforms.normalize import normalize_image
from augserve_pipelines.transforms.pad import pad_image
from augserve_pipelines.transforms.perspective import perspective_image
from augserve_pipelines.transforms.pointwise import invert_image, posterize_image, solarize_image
from augserve_pipelines.transforms.resize import resize_image
from augserve_pipelines.transforms.resized_crop import resized_crop_image
from augserve_pipelines.transforms.rotation import rotate_image
from augserve_pipelines.transforms.sharpness import adjust_sharpness_image

__all__ = [
    "adjust_brightness_video",
    "adjust_contrast_video",
    "adjust_gamma_video",
    "adjust_hue_video",
    "adjust_saturation_video",
    "adjust_sharpness_video",
    "affine_video",
    "autocontrast_video",
    "center_crop_video",
    "crop_video",
    "elastic_video",
    "equalize_video",
    "erase_video",
    "five_crop_video",
    "gaussian_blur_video",
    "gaussian_noise_video",
    "horizontal_flip_video",
    "invert_video",
    "jpeg_video",
    "normalize_video",
    "pad_video",
    "permute_channels_video",
    "perspective_video",
    "posterize_video",
    "resize_video",
    "resized_crop_video",
    "rotate_video",
    "solarize_video",
    "ten_crop_video",
    "to_dtype_video",
    "vertical_flip_video",
]

Result = TypeVar("Result")


def of_videos(kernel: Callable[..., Result]) -> Callable[..., Result]:
    """A kernel of images for videos ``[..., T, C, H, W]``: of the same parameters, but that the first is ``video``."""

    @functools.wraps(kernel)
    def run(video: Tensor, *args: Any, **kwargs: Any) -> Result:
        return kernel(video, *args, **kwargs)

    signature = inspect.signature(kernel)
    image, *others = signature.parameters.values()
    run.__name__ = run.__qualname__ = kernel.__name__.replace("_image", "_video")
    run.__module__ = __name__
    run.__signature__ = signature.replace(parameters=[image.replace(name="video"), *others])  # type: ignore[attr-defined]
    return run


adjust_brightness_video = of_videos(adjust_brightness_image)
adjust_contrast_video = of_videos(adjust_contrast_image)
adjust_gamma_video = of_videos(adjust_gamma_image)
adjust_hue_video = of_videos(adjust_hue_image)
adjust_saturation_video = of_videos(adjust_saturation_image)
adjust_sharpness_video = of_videos(adjust_sharpness_image)
affine_video = of_videos(affine_image)
autocontrast_video = of_videos(autocontrast_image)
center_crop_video = of_videos(center_crop_image)
crop_video = of_videos(crop_image)
elastic_video = of_videos(elastic_image)
equalize_video = of_videos(equalize_image)
erase_video = of_videos(erase_image)
five_crop_video = of_videos(five_crop_image)
gaussian_blur_video = of_videos(gaussian_blur_image)
gaussian_noise_video = of_videos(gaussian_noise_image)
horizontal_flip_video = of_videos(horizontal_flip_image)
invert_video = of_videos(invert_image)
jpeg_video = of_videos(jpeg_image)
normalize_video = of_videos(normalize_image)
pad_video = of_videos(pad_image)
permute_channels_video = of_videos(permute_channels_image)
perspective_video = of_videos(perspective_image)
posterize_video = of_videos(posterize_image)
resize_video = of_videos(resize_image)
resized_crop_video = of_videos(resized_crop_image)
rotate_video = of_videos(rotate_image)
solarize_video = of_videos(solarize_image)
ten_crop_video = of_videos(ten_crop_image)
to_dtype_video = of_videos(to_dtype_image)
vertical_flip_video = of_videos(vertical_flip_image)
