"""Values of libraries that the client does not import: whoever holds one has imported them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

from numpy.typing import NDArray

from augserve.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from augserve.torch import Tensor


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Whether ``value`` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_picture(value: Any) -> TypeGuard[Picture]:
    """Whether ``value`` is a Pillow image."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """The values of a tensor, on the CPU.

    Raises:
        InvalidInput: numpy has no such element type.
    """
    try:
        array: NDArray[Any] = tensor.detach().cpu().numpy()
    except TypeError as exc:
        raise InvalidInput(f"a tensor of {tensor.dtype} does not travel; convert it to float32 first") from exc
    return array
