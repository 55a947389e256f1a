"""Ask a flat list of inputs for what is in it, as transforms of your own may need to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.samples import PICTURES, size_of
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints
from augserve_pipelines.tv_tensors.interop import kind_of, our_class

__all__ = [
    "check_type",
    "get_bounding_boxes",
    "get_keypoints",
    "has_all",
    "has_any",
    "query_chw",
    "query_size",
]

T = TypeVar("T")
TypeOrCheck: TypeAlias = type | Callable[[Any], bool]


def check_type(obj: Any, types_or_checks: Sequence[TypeOrCheck]) -> bool:
    """Whether an object is of one of these types, or one of these functions is true of it.

    A class of ours stands for torchvision's too, and the other way round.
    """
    return any(_is(obj, one) for one in types_or_checks)


def has_any(flat_inputs: Sequence[Any], *types_or_checks: TypeOrCheck) -> bool:
    """Whether some input is of one of these types, or one of these functions is true of it."""
    return any(check_type(inpt, types_or_checks) for inpt in flat_inputs)


def has_all(flat_inputs: Sequence[Any], *types_or_checks: TypeOrCheck) -> bool:
    """Whether each of these types and functions has an input that is of it, or that it is true of."""
    return all(any(_is(inpt, one) for inpt in flat_inputs) for one in types_or_checks)


def get_bounding_boxes(flat_inputs: Sequence[Any]) -> Any:
    """The first boxes among the inputs.

    Raises:
        InvalidInput: there are none.
    """
    return _first(flat_inputs, BoundingBoxes, "bounding boxes")


def get_keypoints(flat_inputs: Sequence[Any]) -> Any:
    """The first key points among the inputs.

    Raises:
        InvalidInput: there are none.
    """
    return _first(flat_inputs, KeyPoints, "key points")


def query_chw(flat_inputs: Sequence[Any]) -> tuple[int, int, int]:
    """Channels, height and width of the images and videos among the inputs.

    Raises:
        TypeError: there are none.
        InvalidInput: they differ.
    """
    images = [inpt for inpt in flat_inputs if kind_of(inpt) in (Tensor, *PICTURES)]
    found = {(_channels(image), *size) for image in images if (size := size_of(image)) is not None}
    return _one(found, "image or video")


def query_size(flat_inputs: Sequence[Any]) -> tuple[int, int]:
    """Height and width of the images, videos, masks, boxes and key points among the inputs.

    Raises:
        TypeError: there are none.
        InvalidInput: they differ.
    """
    sizes = {size for inpt in flat_inputs if (size := size_of(inpt)) is not None}
    return _one(sizes, "image, video, mask, boxes or key points")


def _is(obj: Any, type_or_check: TypeOrCheck) -> bool:
    if not isinstance(type_or_check, type):
        return bool(type_or_check(obj))
    kind = kind_of(obj)
    return isinstance(obj, type_or_check) or (kind is not None and issubclass(kind, our_class(type_or_check)))


def _first(flat_inputs: Sequence[Any], kind: type, words: str) -> Any:
    found = [inpt for inpt in flat_inputs if kind_of(inpt) is kind]
    if not found:
        raise InvalidInput(f"there are no {words} in the sample")
    return found[0]


def _one(found: set[T], words: str) -> T:
    if not found:
        raise WrongKind(f"there is no {words} in the sample")
    if len(found) > 1:
        raise InvalidInput(f"the inputs of one sample have several sizes: {sorted(map(str, found))}")
    return found.pop()


def _channels(image: Any) -> int:
    if isinstance(image, Picture.Image):
        return len(image.getbands())
    return int(image.shape[-3]) if image.ndim > 2 else 1
