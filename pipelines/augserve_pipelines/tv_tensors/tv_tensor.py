"""A tensor that knows what it shows: the base of images, videos, masks, boxes and keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar, cast

import torch

from augserve_pipelines.tv_tensors.return_type import returns_tv_tensors

__all__ = ["TVTensor"]

TV = TypeVar("TV", bound="TVTensor")

# These keep the class whatever set_return_type says: they make the same thing elsewhere, not something new.
_KEEP_CLASS = frozenset(
    {
        torch.Tensor.clone,
        torch.Tensor.to,
        torch.Tensor.detach,
        torch.Tensor.requires_grad_,
        torch.Tensor.pin_memory,
    }
)


class TVTensor(torch.Tensor):
    """Base of the tensors that transforms tell apart; its metadata are plain attributes of the instance.

    A torch operation on a TVTensor returns a pure ``torch.Tensor``, but for ``clone``, ``to``, ``detach``,
    ``requires_grad_`` and ``pin_memory``, which keep class and metadata; see ``set_return_type``.
    """

    @classmethod
    def wrap(cls: type[TV], tensor: torch.Tensor, like: TV, **metadata: Any) -> TV:
        """``tensor`` as this class, with the metadata of ``like``. Subclasses override it to compute their metadata."""
        return cls._adopt(tensor, like)

    @staticmethod
    def _tensor(
        data: Any, dtype: torch.dtype | None, device: torch.device | str | int | None, requires_grad: bool | None
    ) -> torch.Tensor:
        if requires_grad is None:
            requires_grad = isinstance(data, torch.Tensor) and data.requires_grad
        tensor = torch.as_tensor(data, dtype=dtype, device=device).requires_grad_(requires_grad)
        return tensor.as_subclass(torch.Tensor)

    @classmethod
    def _adopt(cls: type[TV], tensor: torch.Tensor, like: TVTensor) -> TV:
        adopted = tensor.as_subclass(cls)
        adopted.__dict__.update(like.__dict__)
        return adopted

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if not all(issubclass(cls, other) for other in types):
            return NotImplemented
        with torch._C.DisableTorchFunctionSubclass():
            output = func(*args, **(kwargs or {}))
        # `pure.to(image)` also arrives here; its result is the pure tensor's.
        if returns_tv_tensors() or (func in _KEEP_CLASS and isinstance(args[0], cls)):
            return cls._wrapped(output, next(_instances(cls, (args, kwargs))))
        if isinstance(output, cls):  # an operation in place returns its TVTensor
            with torch._C.DisableTorchFunctionSubclass():
                return output.as_subclass(torch.Tensor)
        return output

    @classmethod
    def _wrapped(cls, output: Any, like: TVTensor) -> Any:
        if isinstance(output, torch.Tensor):
            return output if isinstance(output, cls) else cls._adopt(output, like)
        if isinstance(output, tuple | list) and any(isinstance(part, torch.Tensor) for part in output):
            return type(output)(cls._wrapped(part, like) for part in output)
        return output

    def _described(self, **metadata: Any) -> str:
        described = ", ".join(f"{name}={value}" for name, value in metadata.items())
        plain: str = super().__repr__()  # type: ignore[no-untyped-call]  # torch's has no types
        return f"{plain[:-1]}, {described})"

    # Asked for every leaf: answered without the way through __torch_function__.
    @property
    def shape(self) -> torch.Size:  # type: ignore[override]  # a property where the stub has an attribute
        with torch._C.DisableTorchFunctionSubclass():
            return super().shape

    @property
    def ndim(self) -> int:  # type: ignore[override]  # a property where the stub has an attribute
        with torch._C.DisableTorchFunctionSubclass():
            return super().ndim

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # a property where the stub has an attribute
        with torch._C.DisableTorchFunctionSubclass():
            return super().device

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]  # a property where the stub has an attribute
        with torch._C.DisableTorchFunctionSubclass():
            return super().dtype

    def __deepcopy__(self: TV, memo: dict[int, Any]) -> TV:
        copied = cast(TV, self.detach().clone().requires_grad_(self.requires_grad))
        copied.__dict__.update(deepcopy(self.__dict__, memo))
        return copied


def _instances(cls: type[TV], value: Any) -> Iterator[TV]:
    """The instances of ``cls`` in the arguments of a torch function, first to last."""
    if isinstance(value, cls):
        yield value
    elif isinstance(value, Mapping):
        yield from _instances(cls, tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _instances(cls, part)
