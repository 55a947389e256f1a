"""Value ranges of dtypes, and casts between them, for TorchScript."""

import torch
from torch import Tensor

# Functions that TorchScript compiles cannot hold comments for mypy.
# mypy: disable-error-code="attr-defined"

__all__ = ["is_float", "max_value", "numbers", "rounded", "to_dtype", "value_bits"]


def is_float(dtype: torch.dtype) -> bool:
    """Whether these are floats."""
    return dtype == torch.float32 or dtype == torch.float64 or dtype == torch.float16 or dtype == torch.bfloat16


def max_value(dtype: torch.dtype) -> int:
    """The value that stands for full intensity: 1 for floats, the greatest one for integers."""
    if is_float(dtype):
        return 1
    return (1 << value_bits(dtype)) - 1 if dtype != torch.int64 else 9223372036854775807


def value_bits(dtype: torch.dtype) -> int:
    """Bits of an integer without its sign."""
    if dtype == torch.uint8:
        return 8
    if dtype == torch.int8:
        return 7
    if dtype == torch.int16:
        return 15
    if dtype == torch.uint16:
        return 16
    if dtype == torch.int32:
        return 31
    if dtype == torch.int64:
        return 63
    raise ValueError("images are of floats or of integers of 8, 16, 32 or 64 bits")


def to_dtype(image: Tensor, dtype: torch.dtype, scale: bool) -> Tensor:
    """Cast an image; with ``scale``, from the value range of its dtype to that of the other.

    Raises:
        ValueError: the integers are too wide for the floats to fill.
    """
    if image.dtype == dtype:
        return image
    if not scale or (is_float(image.dtype) and is_float(dtype)):
        return image.to(dtype)
    if is_float(image.dtype):
        _check_fits(image.dtype, dtype)
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    if is_float(dtype):
        return image.to(dtype).mul(1.0 / max_value(image.dtype))
    return _shifted(image, dtype)


def numbers(values: list[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of these values. TorchScript's own ``torch.tensor`` would round them to float32 first."""
    if torch.jit.is_scripting():
        return torch.stack([torch.full([], value, dtype=dtype, device=device) for value in values])
    return torch.tensor(values, dtype=dtype, device=device)


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Floats as values of a dtype; for integers rounded half to even."""
    return values if values.dtype == dtype else values.round().to(dtype)


def _shifted(image: Tensor, dtype: torch.dtype) -> Tensor:
    before, after = value_bits(image.dtype), value_bits(dtype)
    wide = image.to(torch.int64)
    return (wide >> (before - after) if before > after else wide << (after - before)).to(dtype)


def _check_fits(before: torch.dtype, after: torch.dtype) -> None:
    if before == torch.float32 and (after == torch.int32 or after == torch.int64):
        raise ValueError("float32 has too few digits to fill int32 or int64")
    if before == torch.float64 and after == torch.int64:
        raise ValueError("float64 has too few digits to fill int64")
