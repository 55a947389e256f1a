"""How many channels an image must have."""

from torch import Tensor

__all__ = ["check_channels"]


def check_channels(image: Tensor) -> None:
    """Check that an image is gray or RGB.

    Raises:
        ValueError: it has neither 1 nor 3 channels.
    """
    if image.shape[-3] != 1 and image.shape[-3] != 3:
        raise ValueError(f"images of 1 or 3 channels are needed; got one of {image.shape[-3]}")
