"""What torch operations on a TVTensor return: pure tensors, or TVTensors again."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType

from augserve_pipelines.errors import InvalidInput

__all__ = ["returns_tv_tensors", "set_return_type"]

_RETURN_TYPES = {"tensor": False, "tvtensor": True}
_returns_tv_tensors: ContextVar[bool] = ContextVar("returns_tv_tensors", default=False)


def returns_tv_tensors() -> bool:
    """Whether torch operations on a TVTensor return TVTensors in this thread or task."""
    return _returns_tv_tensors.get()


class set_return_type:  # noqa: N801 - a function to its callers, as torchvision's
    """Set what torch operations on a TVTensor return; transforms always return the types that they were given.

    It holds from the call on, or inside the block where it is used as a context manager. Unlike torchvision's, which
    is one flag for the whole process, it holds for the calling thread or asyncio task alone.

    Args:
        return_type: ``"Tensor"`` (the default behaviour) or ``"TVTensor"``, in any case.

    Raises:
        InvalidInput: for any other word.
    """

    def __init__(self, return_type: str) -> None:
        if return_type.lower() not in _RETURN_TYPES:
            raise InvalidInput(f"return_type must be 'TVTensor' or 'Tensor', not {return_type!r}")
        self._before = returns_tv_tensors()
        _returns_tv_tensors.set(_RETURN_TYPES[return_type.lower()])

    def __enter__(self) -> set_return_type:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _returns_tv_tensors.set(self._before)
