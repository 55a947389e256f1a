"""Functionals: one name each, and a kernel for every kind of input that it takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, TVTensor, Video
from augserve_pipelines.tv_tensors.interop import kind_of, like, metadata

__all__ = [
    "ALL_KINDS",
    "FUNCTIONALS",
    "KINDS",
    "PIXEL_KINDS",
    "Call",
    "Deferred",
    "Functional",
    "Geometry",
    "functional",
    "is_pure_tensor",
    "per_sample",
    "register_kernel",
]

Kernel: TypeAlias = Callable[..., Any]
Geometry: TypeAlias = Callable[..., tuple[NDArray[np.float64] | None, tuple[int, int]]]
"""``(height, width, **arguments)`` to a 3 x 3 matrix from input to output coordinates and the new (height, width).

The matrix is None where no matrix says where points go.
"""

PIXEL_KINDS = (torch.Tensor, Image, Video, Picture.Image)
ALL_KINDS = (*PIXEL_KINDS, Mask, BoundingBoxes, KeyPoints)
KINDS: Mapping[str, type] = {
    "Tensor": torch.Tensor,
    "Image": Image,
    "Video": Video,
    "Mask": Mask,
    "BoundingBoxes": BoundingBoxes,
    "KeyPoints": KeyPoints,
    "PIL.Image": Picture.Image,
}
"""The kinds of input by the names that they have in YAML and in records."""
_METADATA = ("format", "canvas_size", "clamping_mode")
_TENSOR_KINDS = (torch.Tensor, Image, Video, Mask)
_NUMBERS = ("float", "int", "bool")

FUNCTIONALS: dict[str, Functional] = {}
"""Every functional by its name, for records, which name them."""


class Deferred:
    """An argument that is computed where it is needed, such as a field of noise: subclasses are frozen dataclasses."""

    @property
    def count(self) -> int:
        """How many numbers ``value`` makes."""
        raise NotImplementedError(f"{type(self).__name__} does not define count")

    def value(self) -> Any:
        """What the kernel is given."""
        raise NotImplementedError(f"{type(self).__name__} does not define value()")


class Functional:
    """A function of one input and some parameters, which acts by the kind of the input.

    Called, it refuses kinds that it has no kernel for; ``apply`` passes them through, as transforms do. A parameter
    that is a number may be a tensor ``[N]`` where the input is ``[N, ...]``: a value for each sample.
    """

    def __init__(
        self,
        declared: Callable[..., Any],
        kernels: Mapping[type, Kernel],
        geometry: Geometry | None,
        index_geometry: Geometry | None,
    ) -> None:
        functools.update_wrapper(self, declared)
        self.name = declared.__name__
        self.geometry = geometry
        self.index_geometry = index_geometry or geometry
        self.signature = inspect.signature(declared)
        self._kernels = {
            kind: per_sample(kernel, self.name) if kind in _TENSOR_KINDS else kernel for kind, kernel in kernels.items()
        }
        self._registered: dict[type, Kernel] = {}

    def __repr__(self) -> str:
        return f"<functional {self.name}{self.signature}>"

    def __call__(self, inpt: Any, *args: Any, **kwargs: Any) -> Any:
        """Act on one input.

        Raises:
            TypeError: there is no kernel for inputs of this type.
        """
        bound = self.signature.bind(inpt, *args, **kwargs)
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        if not self.takes(inpt):
            names = ", ".join(kind.__name__ for kind in self._kernels)
            raise TypeError(f"{self.name} does not act on {type(inpt).__name__}; it takes {names}")
        return self.apply(inpt, arguments)

    @property
    def kinds(self) -> tuple[type, ...]:
        """The kinds of input that there are kernels for."""
        return tuple(self._kernels)

    def takes(self, leaf: Any) -> bool:
        """Whether there is a kernel for this input."""
        return self._registered_for(leaf) is not None or kind_of(leaf) in self._kernels

    def apply(self, leaf: Any, arguments: Mapping[str, Any]) -> Any:
        """Act on an input with the arguments by name; one that there is no kernel for comes back as it is."""
        if (registered := self._registered_for(leaf)) is not None:
            return registered(leaf, **_taken(registered, arguments))
        kind = kind_of(leaf)
        kernel = None if kind is None else self._kernels.get(kind)
        if kernel is None:
            return leaf
        if kind in (BoundingBoxes, KeyPoints):
            return _on_coordinates(kernel, leaf, arguments)
        if kind is Picture.Image:
            return kernel(leaf, **_taken(kernel, arguments))
        return _wrapped(leaf, kernel(leaf.as_subclass(Tensor), **_taken(kernel, arguments)))

    def register(self, kind: type, kernel: Kernel) -> None:
        """Let ``kernel(inpt, *arguments)`` act on inputs of a class of your own.

        Raises:
            ValueError: the class is no subclass of TVTensor, or one of those that there are kernels for already.
        """
        if not (isinstance(kind, type) and issubclass(kind, TVTensor)) or kind in (TVTensor, *ALL_KINDS):
            raise ValueError(f"kernels are registered for subclasses of TVTensor of your own, not for {kind!r}")
        if kind in self._registered:
            raise ValueError(f"{self.name} has a kernel for {kind.__name__} already")
        self._registered[kind] = kernel

    def _registered_for(self, leaf: Any) -> Kernel | None:
        if not self._registered:
            return None
        found = (self._registered[kind] for kind in type(leaf).__mro__ if kind in self._registered)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Call:
    """A functional and its arguments: what an op does to one sample.

    ``kinds`` are those of its kinds that it acts on; None: all of them.
    """

    functional: Functional
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[type, ...] | None = None

    def __call__(self, leaf: Any) -> Any:
        """The leaf after the call; as it is where the functional does not act on it."""
        if self.kinds is not None and kind_of(leaf) not in self.kinds:
            return leaf
        return self.functional.apply(leaf, self.arguments)


def functional(
    *,
    image: Kernel | None = None,
    tensor: Kernel | str | None = "as image",
    video: Kernel | str | None = "as image",
    mask: Kernel | None = None,
    boxes: Kernel | None = None,
    keypoints: Kernel | None = None,
    picture: Kernel | None = None,
    geometry: Geometry | None = None,
    index_geometry: Geometry | None = None,
) -> Callable[[Callable[..., Any]], Functional]:
    """Make a functional of a function that only declares its parameters.

    Args:
        image: acts on ``[..., C, H, W]``: images, and tensors that are nothing else.
        tensor: acts on tensors that are nothing else; where it is not given, the image's kernel does.
        video: acts on videos; where it is not given, the image's kernel does.
        mask: acts on masks ``[..., H, W]``.
        boxes: acts on coordinates of boxes; parameters named ``format``, ``canvas_size`` and ``clamping_mode`` are
            filled in from the boxes. It gives the coordinates, or (coordinates, new canvas size).
        keypoints: acts on points ``[..., 2]``, likewise.
        picture: acts on PIL images.
        geometry: where a point of the input is in the output, with the coordinates of boxes.
        index_geometry: likewise with those of key points, where they differ.
    """
    own_tensor, own_video = (image if isinstance(own, str) else own for own in (tensor, video))
    given = (own_tensor, image, own_video, picture, mask, boxes, keypoints)
    kernels = {kind: kernel for kind, kernel in zip(ALL_KINDS, given, strict=True) if kernel is not None}

    def declare(declared: Callable[..., Any]) -> Functional:
        made = Functional(declared, kernels, geometry, index_geometry)
        FUNCTIONALS[made.name] = made
        return made

    return declare


def register_kernel(functional: Functional | str, tv_tensor_cls: type) -> Callable[[Kernel], Kernel]:
    """Decorate a kernel for a TVTensor of your own: ``register_kernel(resize, MyTVTensor)(kernel)``.

    Args:
        functional: the functional, or its name.
        tv_tensor_cls: your subclass of TVTensor.

    Raises:
        ValueError: there is no such functional, or the class cannot have kernels of its own.
    """
    if isinstance(functional, str):
        if functional not in FUNCTIONALS:
            raise ValueError(f"no functional is named {functional!r}; there are {sorted(FUNCTIONALS)}")
        functional = FUNCTIONALS[functional]
    if not isinstance(functional, Functional):
        raise ValueError(f"kernels are registered for functionals or their names, not for {functional!r}")
    own = functional

    def register(kernel: Kernel) -> Kernel:
        own.register(tv_tensor_cls, kernel)
        return kernel

    return register


def per_sample(kernel: Kernel, name: str | None = None) -> Kernel:
    """A kernel of tensors ``[N, ...]`` whose numbers may be tensors ``[N]`` as well: a value for each sample.

    Args:
        kernel: takes a tensor, and numbers.
        name: what messages call it; absent: its own.

    Raises:
        ValueError: there are not as many values as samples.
    """
    signature = inspect.signature(kernel)
    numbers = [one.name for one in signature.parameters.values() if one.annotation in _NUMBERS]

    @functools.wraps(kernel)
    def act(*args: Any, **kwargs: Any) -> Any:
        if not any(map(_is_column, (*args[1:], *kwargs.values()))):
            return kernel(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        columns = {one: bound.arguments[one] for one in numbers if _is_column(bound.arguments.get(one))}
        if not columns:
            return kernel(*args, **kwargs)
        (_, tensor), *given = bound.arguments.items()
        return _each(name or kernel.__name__, kernel, tensor, dict(given), columns)

    return act


def is_pure_tensor(inpt: Any) -> bool:
    """Whether this is a tensor that is not marked as an image, a mask or anything else."""
    return kind_of(inpt) is torch.Tensor


def _on_coordinates(kernel: Kernel, leaf: Any, arguments: Mapping[str, Any]) -> Any:
    own = {name: value for name, value in metadata(leaf).items() if name in _METADATA}
    result = kernel(leaf.as_subclass(Tensor), **_taken(kernel, {**arguments, **own}))
    if isinstance(result, tuple):
        coordinates, canvas_size = result
        return like(leaf, coordinates, canvas_size=tuple(canvas_size))
    return like(leaf, result)


def _wrapped(leaf: Any, result: Any) -> Any:
    if type(leaf) is Tensor:
        return result
    return tuple(like(leaf, one) for one in result) if isinstance(result, tuple | list) else like(leaf, result)


def _taken(kernel: Kernel, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that the kernel has parameters for, computed where they were deferred."""
    names = _parameters(kernel)
    taken = arguments.items() if names is None else ((name, one) for name, one in arguments.items() if name in names)
    return {name: one.value() if isinstance(one, Deferred) else one for name, one in taken}


@functools.cache
def _parameters(kernel: Kernel) -> frozenset[str] | None:
    """Names of a kernel's parameters; None where it takes any."""
    parameters = inspect.signature(kernel).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return None
    return frozenset(parameters)


def _each(name: str, kernel: Kernel, tensor: Tensor, given: Mapping[str, Any], columns: Mapping[str, Tensor]) -> Tensor:
    """The kernel on each sample, with its own row of the columns."""
    counts = {len(tensor), *(len(column) for column in columns.values())}
    if len(counts) > 1:
        raise ValueError(f"{name} takes one value a sample: got {sorted(counts)} samples and values")
    rows = [{one: column[i].item() for one, column in columns.items()} for i in range(len(tensor))]
    return torch.stack([kernel(one, **{**given, **row}) for one, row in zip(tensor, rows, strict=True)])


def _is_column(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 1
