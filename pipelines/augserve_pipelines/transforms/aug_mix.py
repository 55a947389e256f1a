"""AugMix: a blend of the image and of what chains of operations make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from pydantic import Field
from torch import Tensor

from augserve_pipelines import record_values
from augserve_pipelines.arguments import Words
from augserve_pipelines.dispatch import FUNCTIONALS, Call, Functional, functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.frames import Frames
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op, Select
from augserve_pipelines.parameters import Fill, Flag, Positive, WarpInterpolation
from augserve_pipelines.transforms.augmentation_space import (
    MIXED,
    MIXED_GEOMETRY,
    ImageAugmentation,
    augmentations,
    draw_names,
    draw_signs,
    has_magnitude,
)
from augserve_pipelines.transforms.fill import image_color
from augserve_pipelines.transforms.pictures import pil_to_tensor, to_pil_image

__all__ = ["AugMix", "Mixture", "mix_chains", "mix_chains_image"]

BINS = 10
MOST_CALLS = 1000
ALLOWED = (
    "adjust_brightness",
    "adjust_contrast",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
)

Severity = Annotated[int, Field(ge=1, le=BINS), Words("an integer of 1 to 10")]
Width = Annotated[int, Field(ge=1, le=100), Words("an integer of 1 to 100")]
Depth = Annotated[int, Field(le=100), Words("an integer of at most 100")]
Alpha = Annotated[Positive, Words("a number greater than 0")]


def mix_chains_image(
    image: Tensor, weights: Sequence[Sequence[float]], chains: Sequence[Sequence[Sequence[Any]]]
) -> Tensor:
    """Blend an image with what chains of functionals make of it.

    Args:
        image: ``[..., C, H, W]``.
        weights: of the image, then of each chain; one such row, or one for each of the images in the first dimension.
        chains: each a list of [name of the functional, list of [name of the argument, value]].

    Raises:
        InvalidInput: a functional is not one of AugMix, there are too many, or the weights do not go with the image.
    """
    if sum(map(len, chains)) > MOST_CALLS:
        raise InvalidInput(f"chains have at most {MOST_CALLS} operations, these have {sum(map(len, chains))}")
    if len(weights) != 1 and (image.ndim < 4 or len(weights) != len(image)):
        raise InvalidInput(f"there are {len(weights)} rows of weights for an image of shape {[*image.shape]}")
    return _blend(image, torch.tensor(weights), [_augmented(image, chain) for chain in chains])


def _mix_chains_picture(
    image: Picture.Image, weights: Sequence[Sequence[float]], chains: Sequence[Sequence[Sequence[Any]]]
) -> Picture.Image:
    return to_pil_image(mix_chains_image(pil_to_tensor(image), weights, chains))


@functional(image=mix_chains_image, picture=_mix_chains_picture)
def mix_chains(inpt: Any, weights: Sequence[Sequence[float]], chains: Sequence[Sequence[Sequence[Any]]]) -> Any:
    """Blend an image with what chains of functionals make of it: what ``AugMix`` does."""


@dataclass(frozen=True, slots=True)
class Mixture(Op):
    """Blend each sample with what its chains of operations make of it."""

    weights: NDArray[np.object_]  # [N] of Tensor [batch, 1 + chains], the first of the sample itself
    chains: tuple[Op, ...]

    def __getitem__(self, rows: Any) -> Mixture:
        return Mixture(self.weights[rows], tuple(chain[rows] for chain in self.chains))

    def launches(self, frames: Frames, *, alone: bool = False) -> int:
        blocks = len(frames) if alone else len(set(frames.keys()))
        blend = (2 + 2 * len(self.chains)) * blocks
        return blend + sum(chain.launches(frames, alone=alone) for chain in self.chains)

    def image(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            weights = torch.stack(self.weights.tolist())  # [n, batch, 1 + chains]
            return _blend(x, weights, [chain.image(x) for chain in self.chains])
        # one at a time: selecting rows would lay them out anew, and sums over an image follow its layout
        return torch.cat([self[row : row + 1]._one(x[row : row + 1]) for row in range(len(x))])

    def calls(self) -> Iterator[Call]:
        chains = [[_written(call) for call in chain.calls()] for chain in self.chains]
        yield Call(mix_chains, {"weights": self.weights[0].tolist(), "chains": chains})

    def _one(self, x: Tensor) -> Tensor:
        return _blend(x, self.weights[0].unsqueeze(0), [chain.image(x) for chain in self.chains])


class AugMix(ImageAugmentation):
    """Blend the image with what several chains of random operations make of it.

    As in "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty"
    (https://arxiv.org/abs/1912.02781). It takes exactly one image or video, and no masks, boxes or key points.

    Draws: the weight of the image and of all chains together, of a Beta distribution; those of the chains, of a
    Dirichlet distribution; for each chain its depth, where it is random, and for each operation which, its magnitude
    where it has any, and its sign where it goes both ways.

    Args:
        severity: how many of 10 magnitudes, from the weakest on, are drawn from.
        mixture_width: how many chains.
        chain_depth: how many operations each has; 0 and less is 1 to 3 at random.
        alpha: the parameter of both distributions.
        all_ops: whether brightness, contrast, saturation and sharpness are among the operations.
        interpolation: ``nearest`` or ``bilinear``.
        fill: value of what comes from outside the image, or a list with one for each channel, in the value range of the
            image; null is 0, which in bilinear mode fades the border less. In a mapping, all images are ``Tensor``.

    Raises:
        TypeError: the sample holds anything but one image or video to act on.
        InvalidInput: an operation that was picked cannot act on the image, such as one of colours on two channels.
    """

    def __init__(
        self,
        severity: Severity = 3,
        mixture_width: Width = 3,
        chain_depth: Depth = -1,
        alpha: Alpha = 1.0,
        all_ops: Flag = True,
        interpolation: WarpInterpolation = "bilinear",
        fill: Fill = None,
    ) -> None:
        super().__init__()
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def draw(self, lanes: Lanes, frames: Frames) -> Op:
        counts = [_images_in(frames, row) for row in range(len(frames))]
        weights = lanes.each(lambda generator, row: self._weights(counts[row], generator))
        chains = tuple(self._chain(lanes, frames) for _ in range(self.mixture_width))
        return Mixture(np.fromiter(weights, object, len(weights)), chains)

    def _weights(self, count: int, generator: torch.Generator) -> Tensor:
        both, own = (torch.full((count, size), self.alpha) for size in (2, self.mixture_width))
        shares = torch._sample_dirichlet(both, generator=generator)
        weights = torch._sample_dirichlet(own, generator=generator) * shares[:, 1:]
        return torch.cat([shares[:, :1], weights], 1)

    def _chain(self, lanes: Lanes, frames: Frames) -> Op:
        depths = np.full(len(frames), self.chain_depth) if self.chain_depth > 0 else lanes.integers(1, 4)
        ops: list[Op] = []
        for step in range(int(depths.max(initial=0))):
            rows = depths > step
            ops.append(Select(rows, self._one(lanes[rows], frames[rows])))
        return Chain(tuple(ops))

    def _one(self, lanes: Lanes, frames: Frames) -> Op:
        space = MIXED if self.all_ops else MIXED_GEOMETRY
        names = draw_names(space, lanes)
        strong = has_magnitude(names)
        places = np.zeros(len(frames), np.int64)
        places[strong] = lanes[strong].integers(0, self.severity)
        magnitudes = space.magnitudes(names, places, BINS, frames) * draw_signs(names, lanes)
        return augmentations(names, magnitudes, frames, self.interpolation, image_color(self.fill))


def _images_in(frames: Frames, row: int) -> int:
    """How many images torchvision gives weights of their own: those of the first dimension of a batch."""
    lead = frames.shape(row)[:-3]
    is_video = frames.videos is not None and bool(frames.videos[row])
    return lead[0] if len(lead) > is_video else 1


def _blend(image: Tensor, weights: Tensor, augmented: Sequence[Tensor]) -> Tensor:
    """The sum of the image and the others by their weights ``[..., 1 + chains]``, cut off to the image's dtype."""
    shape = (*weights.shape[:-1], *[1] * (image.ndim - weights.ndim + 1))
    own, *others = weights.to(image.device).unbind(-1)
    mixed = own.reshape(shape) * image
    for weight, one in zip(others, augmented, strict=True):
        mixed.add_(weight.reshape(shape) * one)
    return mixed.to(image.dtype)


def _written(call: Call) -> list[Any]:
    return [call.functional.name, [[name, value] for name, value in call.arguments.items()]]


def _augmented(image: Tensor, chain: Sequence[Sequence[Any]]) -> Tensor:
    shape = image.shape
    for own, arguments in map(_read, chain):
        try:
            image = own(image, **arguments)
        except (AttributeError, ArithmeticError) as error:  # of arguments that a record has from anywhere
            raise InvalidInput(f"{own.name} of AugMix: {error}") from error
        if image.shape != shape:  # what grows at each step has no end
            raise InvalidInput(f"{own.name} of AugMix gives {[*image.shape]}; the image is of {[*shape]}")
    return image


def _read(step: Sequence[Any]) -> tuple[Functional, dict[str, Any]]:
    """An operation of a chain, which a record may have from anywhere."""
    name, pairs = step if len(step) == 2 else (None, None)
    if name not in ALLOWED:
        raise InvalidInput(f"{name!r:.80} is no operation of AugMix; allowed: {', '.join(ALLOWED)}")
    if not isinstance(pairs, list | tuple) or not all(map(_is_argument, pairs)):
        raise InvalidInput(f"{name} of AugMix: arguments are a list of [name, value]")
    return FUNCTIONALS[name], record_values.arguments(FUNCTIONALS[name], dict(pairs), f"{name} of AugMix")


def _is_argument(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
