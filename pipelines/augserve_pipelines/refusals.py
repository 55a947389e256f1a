"""What torch refuses, as what the engine raises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from augserve_pipelines.errors import InvalidInput, WrongKind
from augserve_pipelines.tv_tensors.interop import kind_of

__all__ = ["explained"]


@contextmanager
def explained(leaves: Iterable[Any] = ()) -> Iterator[None]:
    """Raise InvalidInput where torch has no kernel for a dtype, or for so few dimensions.

    Args:
        leaves: what is acted on.
    """
    try:
        yield
    except (IndexError, RuntimeError) as error:
        if isinstance(error, NotImplementedError) and "not implemented for" in str(error):  # torch's own words
            raise InvalidInput(f"torch cannot do this to an image of such a dtype: {error}") from error
        for leaf in leaves:
            if kind_of(leaf) is Tensor and leaf.ndim < 3:
                shape = [*leaf.shape]
                raise WrongKind(f"a tensor of shape {shape} lies where the image would; [..., C, H, W] does") from error
        raise
