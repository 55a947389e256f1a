"""Draws from torch's global generator, word for word those of the transforms."""

import torch

__all__ = ["fires", "integer", "log_uniform", "uniform"]


def fires(p: float) -> bool:
    """Whether something of probability ``p`` happens; torch compares in float32."""
    return bool(torch.rand(1) < p)


def uniform(low: float, high: float) -> float:
    """A number from [low, high), in float32."""
    return float(torch.empty(1).uniform_(low, high).item())


def log_uniform(low: float, high: float) -> float:
    """``exp`` of a number from [low, high), in float32."""
    return float(torch.exp(torch.empty(1).uniform_(low, high)).item())


def integer(low: int, high: int) -> int:
    """An integer from low to high - 1."""
    return int(torch.randint(low, high, (1,)).item())
