"""The results of one call, in the order of the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from augserve.augmented import Augmented
from augserve.errors import ServiceError, ShapesDiffer

if TYPE_CHECKING:
    from augserve.torch import Tensor

Array: TypeAlias = NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Results(Sequence[T | ServiceError], Generic[T]):
    """Results in input order: ``results[i * views + v]`` is view v of image i, or the error it failed with.

    Arrays and tensors are [C, H, W], of clips [T, C, H, W]. An image that fails, fails in all its views; the others are
    answered.
    """

    items: Sequence[T | ServiceError]
    seeds: Sequence[int | None]
    """The seed that each result was drawn with: ``seed + r``; of a replay, those in the records."""
    views: int
    pipeline: str | None
    """None for a replay."""
    fingerprint: str | None
    """sha256 of the pipeline's canonical form; None for a replay, and where clips as files all failed."""
    media_type: str | None
    """What each result is where it is ``bytes``, such as ``image/jpeg``; None where every image failed."""
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds that each stage in the server took (decode, queue, run, encode), summed over requests."""
    request_ids: Sequence[str] = ()
    """What the server's log calls the requests of this call."""
    block: T | None = None
    """The same results as one dense [R, C, H, W], where they came so."""

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T | ServiceError: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T | ServiceError]: ...
    def __getitem__(self, index: int | slice) -> T | ServiceError | Sequence[T | ServiceError]:
        return self.items[index]

    def __iter__(self) -> Iterator[T | ServiceError]:
        return iter(self.items)

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        origin = "a replay" if self.pipeline is None else repr(self.pipeline)
        return f"<Results of {origin}: {len(self)}{failed}, seed={self.seed}, views={self.views}>"

    @property
    def seed(self) -> int | None:
        """The seed of the first result; never None but for a replay."""
        return self.seeds[0]

    @property
    def errors(self) -> dict[int, ServiceError]:
        """The results that failed, by index."""
        return {i: item for i, item in enumerate(self.items) if isinstance(item, ServiceError)}

    def raise_for_errors(self) -> list[T]:
        """All results; raises the first error where there is one."""
        for error in self.errors.values():
            raise error
        return [item for item in self.items if not isinstance(item, ServiceError)]

    def by_image(self) -> list[list[T | ServiceError]]:
        """Results by image, then view: ``results.by_image()[i][v]``."""
        return [list(self.items[start : start + self.views]) for start in range(0, len(self), self.views)]

    @overload
    def stack(self: Results[Array]) -> Array: ...
    @overload
    def stack(self: Results[Tensor]) -> Tensor: ...
    def stack(self) -> Any:
        """One dense [R, C, H, W], of clips [R, T, C, H, W]; where the server sent it so, without a copy.

        Raises:
            ServiceError: One of the results failed.
            ShapesDiffer: The results have different shapes.
            TypeError: The results are bytes, or have targets.
        """
        items: list[Any] = self.raise_for_errors()
        if isinstance(items[0], bytes | list):
            raise TypeError("encoded results do not stack; ask for as_='numpy' or as_='torch'")
        if any(isinstance(item, Augmented) for item in items):
            raise TypeError("results with targets do not stack; their images may: [result.image for result in results]")
        shapes = sorted({tuple(item.shape) for item in items})
        if len(shapes) > 1:
            raise ShapesDiffer(f"results of {len(shapes)} shapes do not stack: {shapes}")
        return _stack(items) if self.block is None else self.block


def _stack(items: Sequence[Any]) -> Any:
    if isinstance(items[0], np.ndarray):
        return np.stack(items)
    from augserve import torch

    return torch.stack(items)
