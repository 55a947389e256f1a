"""One result with its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from numpy.typing import NDArray

from augserve.record import Record
from augserve.wire import BoxFormat, ClampingMode

if TYPE_CHECKING:
    from augserve.torch import Tensor

Pixels = TypeVar("Pixels")
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True, eq=False)
class Augmented(Generic[Pixels, Target]):
    """A result of a sample, or with ``params=True`` of an image: pixels, targets and what was done to them.

    Arrays and tensors for ``as_="numpy"`` and ``"torch"``. For ``"bytes"``, pixels are files and targets numpy arrays.
    """

    image: Pixels | Any
    """[C, h, w], of a clip [T, C, h, w]; an encoded file, of a clip a list of them. None where there was no image."""
    boxes: Target | None = None
    """[N, 4], [N, 5] or [N, 8], in ``box_format``."""
    box_format: BoxFormat | None = None
    """None where there are no boxes."""
    canvas_size: tuple[int, int] | None = None
    """Height and width of what boxes and keypoints lie on; None where there are neither."""
    masks: Pixels | None = None
    """[h, w] or [N, h, w]; as bytes, a PNG for one mask that fits and an npy file for others."""
    keypoints: Target | None = None
    """[..., 2]."""
    labels: Target | None = None
    record: Record | None = None
    """What was done; None without ``params=True``, and for a replay, which has its record."""
    clamping_mode: ClampingMode | None = None
    """Of the boxes."""


Arrays: TypeAlias = Augmented[NDArray[Any], NDArray[Any]]
Tensors: TypeAlias = "Augmented[Tensor, Tensor]"
Files: TypeAlias = Augmented[bytes, NDArray[Any]]
