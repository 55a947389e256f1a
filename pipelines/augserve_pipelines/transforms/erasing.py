"""Erase a random rectangle of an image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines.arguments import shown
from augserve_pipelines.dispatch import Call, Deferred, functional
from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.frames import Frames, IntArray
from augserve_pipelines.lanes import GlobalLane, Lanes, Stream
from augserve_pipelines.ops import BoolArray, Kernels, Op, Select
from augserve_pipelines.parameters import ErasedArea, ErasedValue, Flag, Probability, Ratio
from augserve_pipelines.samples import Sample
from augserve_pipelines.transforms.base import RandomTransform
from augserve_pipelines.transforms.pictures import by_tensor
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints, Mask

__all__ = ["Erase", "NormalNoise", "RandomErasing", "erase", "erase_image", "erase_picture"]

ValueArray = NDArray[np.object_]

_ATTEMPTS = 10  # as in torchvision


def erase_image(image: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """Put ``v`` into a rectangle of ``[..., C, H, W]``.

    Args:
        image: images of any dtype.
        i: top of the rectangle, pixels.
        j: its left.
        h: its height.
        w: its width.
        v: what to put there; broadcasts to ``[..., C, h, w]`` and is cast to the image's dtype.
        inplace: whether to write into ``image`` itself.

    Raises:
        InvalidInput: ``v`` does not broadcast to the rectangle.
    """
    erased = image if inplace else image.clone()
    try:
        erased[..., i : i + h, j : j + w] = v
    except RuntimeError:
        raise InvalidInput(f"values {[*v.shape]} do not fit {h} x {w} pixels of {[*image.shape]}") from None
    return erased


def erase_picture(
    image: PIL.Image.Image, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False
) -> PIL.Image.Image:
    """``erase_image`` for a PIL image, which is never written into."""
    return by_tensor(image, lambda pixels: erase_image(pixels, i, j, h, w, v, inplace=True))


@functional(image=erase_image, picture=erase_picture)
def erase(inpt: Any, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Any:
    """Put ``v`` into a rectangle. See ``RandomErasing``."""


@dataclass(frozen=True, slots=True)
class NormalNoise(Deferred):
    """Normal noise of mean 0 and deviation 1, drawn where it is needed: ``[channels, height, width]``."""

    stream: Stream
    channels: int
    height: int
    width: int

    @property
    def count(self) -> int:
        return self.channels * self.height * self.width

    def value(self) -> Tensor:
        shape = (self.channels, self.height, self.width)
        return torch.empty(shape).normal_(generator=self.stream.generator())


@dataclass(frozen=True, slots=True)
class Erase(Op):
    """Put values into a rectangle of each sample."""

    kernels: ClassVar[Kernels] = Kernels(1, 1)
    top: IntArray  # [N], pixels
    left: IntArray
    height: IntArray
    width: IntArray
    values: ValueArray  # [N], of tensors [1 or C, 1, 1] or NormalNoise

    def calls(self) -> Iterator[Call]:
        top, left, height, width = self.row("top", "left", "height", "width").values()
        yield Call(erase, {"i": top, "j": left, "h": height, "w": width, "v": self.values[0]})

    def leaves(self, sample: Sample) -> Sample:
        if sample.pixel_places():  # eagerly: in a pipeline, pixels are still pending here
            for place in sample.places(Mask, BoundingBoxes, KeyPoints):
                name = type(sample.leaves[place]).__name__
                warnings.warn(f"RandomErasing leaves {name} as they are; that may change", stacklevel=2)
        return sample.mapped(self.leaf)

    def image(self, x: Tensor) -> Tensor:
        erased = x.clone()
        self._erase(erased)
        return erased

    def write(self, x: Tensor, out: Tensor) -> None:
        self._erase(out.copy_(x))

    def _erase(self, x: Tensor) -> None:
        windows = np.stack([self.top, self.left, self.height, self.width], axis=1).tolist()
        for image, (top, left, height, width), values in zip(x, windows, self.values, strict=True):
            own = values.value() if isinstance(values, NormalNoise) else values
            erase_image(image, top, left, height, width, own, inplace=True)


class RandomErasing(RandomTransform):
    """Erase a random rectangle of the sample with probability ``p``.

    Draws: one number for ``p``; where it fires, up to ten times an area and an aspect ratio, until the rectangle is
    smaller than the image; then the values if they are random, its top and its left. Where none is smaller, the sample
    stays as it is.

    Args:
        p: probability of erasing.
        scale: the least and the greatest area of the rectangle, as a share of the image's.
        ratio: the least and the greatest height / width of the rectangle.
        value: what to put there, in the value range of the image at this step: a number, a list of numbers (one a
            channel), or ``random`` for normal noise of mean 0 and deviation 1, which is meant for normalized images.
        inplace: whether eager use writes into the given image; pipelines never do.

    Raises:
        InvalidInput: ``value`` is a list of neither one number nor as many as the image has channels.
    """

    one_size = True

    def __init__(
        self,
        p: Probability = 0.5,
        scale: ErasedArea = (0.02, 0.33),
        ratio: Ratio = (0.3, 3.3),
        value: ErasedValue = 0.0,
        inplace: Flag = False,
    ) -> None:
        super().__init__()
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value: Literal["random"] | tuple[float, ...] = (
            (value,) if isinstance(value, int | float) else "random" if isinstance(value, str) else tuple(value)
        )
        self.inplace = inplace

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        self._check_value(frames)
        height, width, found = self._sizes(lanes, frames)
        values = self._values(lanes[found], frames.channels[found], height[found], width[found])
        top, left = np.zeros_like(height), np.zeros_like(width)
        top[found] = lanes[found].integers(0, frames.heights[found] - height[found] + 1)
        left[found] = lanes[found].integers(0, frames.widths[found] - width[found] + 1)
        erase = Erase(top[found], left[found], height[found], width[found], values)
        return erase if found.all() else Select(found, erase)

    @staticmethod
    def get_params(
        img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """Draw a rectangle and its values, from torch's global generator.

        Args:
            img: image ``[..., C, H, W]``.
            scale: the least and the greatest area of the rectangle, as a share of the image's.
            ratio: the least and the greatest height / width of the rectangle.
            value: one number, or one for each channel; None is normal noise.

        Returns:
            Top, left, height and width in pixels, and the values: the whole image where no rectangle is smaller.
        """
        erasing = RandomErasing(1.0, scale, ratio, "random" if value is None else value)
        drawn = erasing.draw_fired(GlobalLane(), Frames.of([img]))
        for call in drawn.calls():
            i, j, h, w, v = call.arguments.values()
            return i, j, h, w, v.value() if isinstance(v, NormalNoise) else v
        return 0, 0, img.shape[-2], img.shape[-1], img

    def _check_value(self, frames: Frames) -> None:
        if not frames.channels.all():
            raise WrongKind("RandomErasing found no image or video")
        unlike = frames.channels[frames.channels != len(self.value)]
        if self.value != "random" and len(self.value) != 1 and len(unlike):
            raise InvalidInput(
                f"value {shown(self.value)} has {len(self.value)} numbers for an image of {unlike[0]} channels: "
                "it takes one number, or one for each channel"
            )

    def _sizes(self, lanes: Lanes, frames: Frames) -> tuple[IntArray, IntArray, BoolArray]:
        """Heights and widths of the rectangles, and which samples have one."""
        height, width = np.zeros_like(frames.heights), np.zeros_like(frames.widths)
        waiting = np.arange(len(frames))
        for _ in range(_ATTEMPTS):
            height[waiting], width[waiting] = self._candidates(lanes[waiting], frames[waiting])
            waiting = waiting[(height >= frames.heights)[waiting] | (width >= frames.widths)[waiting]]
            if not len(waiting):
                break
        return height, width, (height < frames.heights) & (width < frames.widths)

    def _candidates(self, lanes: Lanes, frames: Frames) -> tuple[IntArray, IntArray]:
        area = (frames.heights * frames.widths) * lanes.uniform(*self.scale).astype(np.float64)
        low, high = torch.log(torch.tensor(self.ratio)).tolist()
        # torch's exp, for its bits: numpy's differs in the last place
        ratio = torch.exp(torch.from_numpy(lanes.uniform(low, high))).double().numpy()
        height, width = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        return height.astype(np.int64), width.astype(np.int64)

    def _values(self, lanes: Lanes, channels: IntArray, height: IntArray, width: IntArray) -> ValueArray:
        if self.value != "random":
            return _column([torch.tensor(self.value)[:, None, None]] * len(channels))
        shapes = np.stack([channels, height, width], axis=1).tolist()
        streams = lanes.streams(lambda generator, i: torch.empty(shapes[i]).normal_(generator=generator))
        return _column([NormalNoise(stream, *shape) for stream, shape in zip(streams, shapes, strict=True)])


def _column(values: Sequence[Tensor] | Sequence[NormalNoise]) -> ValueArray:
    return np.fromiter(values, object, len(values))
