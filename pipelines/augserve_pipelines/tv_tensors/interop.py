"""What a leaf of a sample is treated as, be it ours, torchvision's or somebody's own subclass."""

from __future__ import annotations

import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

import PIL.Image
import torch

from augserve_pipelines.tv_tensors.bounding_boxes import BoundingBoxes, BoundingBoxFormat
from augserve_pipelines.tv_tensors.images import Image, Mask, Video
from augserve_pipelines.tv_tensors.keypoints import KeyPoints
from augserve_pipelines.tv_tensors.tv_tensor import TVTensor

__all__ = ["kind_of", "like", "metadata", "our_class", "wrap"]

_OURS: tuple[type, ...] = (Image, Video, Mask, BoundingBoxes, KeyPoints, TVTensor)


def kind_of(leaf: Any) -> type | None:
    """The class that transforms treat ``leaf`` as.

    One of ``Image``, ``Video``, ``Mask``, ``BoundingBoxes``, ``KeyPoints`` for our tensors, torchvision's and
    subclasses of either; ``TVTensor`` for a tensor of another class under it; ``torch.Tensor`` for all other tensors;
    ``PIL.Image.Image`` for any PIL image; None for anything else.
    """
    cls: Any = type(leaf)  # to mypy a `type` is not hashable
    return _kind_of_class(cls)


def our_class(cls: Any) -> Any:
    """The class of ours that stands for one of torchvision's; any other class as it is."""
    return _torchvision_kinds().get(cls, cls)


def metadata(leaf: Any) -> dict[str, Any]:
    """``canvas_size`` of boxes and keypoints, and ``format`` (our enum) and ``clamping_mode`` of boxes."""
    kind = kind_of(leaf)
    if kind is BoundingBoxes:
        return {
            "format": BoundingBoxFormat(leaf.format),
            "canvas_size": leaf.canvas_size,
            "clamping_mode": leaf.clamping_mode,
        }
    return {"canvas_size": leaf.canvas_size} if kind is KeyPoints else {}


def like(leaf: Any, tensor: torch.Tensor, **metadata: Any) -> torch.Tensor:
    """``tensor`` as what ``leaf`` is, with its metadata where ``metadata`` has nothing else; pure if ``leaf`` is."""
    if isinstance(leaf, TVTensor):
        return type(leaf).wrap(tensor, leaf, **metadata)
    if kind_of(leaf) in _OURS:
        return _like_torchvision(leaf, tensor, metadata)
    return tensor


def wrap(wrappee: torch.Tensor, *, like: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    """``wrappee`` as the class of ``like``, with its metadata.

    A subclass that overrides the class method ``wrap(tensor, like, **kwargs)`` says how its metadata go over.

    Args:
        wrappee: the tensor; its memory is shared.
        like: what it shall be.
        **kwargs: metadata that shall differ.
    """
    if kind_of(like) is torch.Tensor:
        return wrappee.as_subclass(type(like))
    return _like(like, wrappee, **kwargs)


_like = like  # wrap has torchvision's parameter of this name


@lru_cache(maxsize=1024)
def _kind_of_class(cls: type) -> type | None:
    if issubclass(cls, torch.Tensor):
        kinds = {**_torchvision_kinds(), **{kind: kind for kind in _OURS}}
        return next((kinds[base] for base in cls.__mro__ if base in kinds), torch.Tensor)
    return PIL.Image.Image if issubclass(cls, PIL.Image.Image) else None


def _torchvision_kinds() -> dict[type, type]:
    theirs = _torchvision()  # whoever has one of its tensors has imported it
    known = [kind for kind in _OURS if hasattr(theirs, kind.__name__)]
    return {getattr(theirs, kind.__name__): kind for kind in known}


def _torchvision() -> ModuleType | None:
    return sys.modules.get("torchvision.tv_tensors")


def _like_torchvision(leaf: Any, tensor: torch.Tensor, metadata: dict[str, Any]) -> torch.Tensor:
    theirs: Any = _torchvision()
    if "format" in metadata:
        metadata = {**metadata, "format": theirs.BoundingBoxFormat[BoundingBoxFormat(metadata["format"]).name]}
    wrapped: torch.Tensor = theirs.wrap(tensor, like=leaf, **metadata)
    return wrapped
