"""How to interpolate: torchvision's modes under torchvision's names."""

from __future__ import annotations

from enum import Enum

__all__ = ["InterpolationMode"]


class InterpolationMode(Enum):
    """How to interpolate between pixels.

    ``InterpolationMode(x)`` takes a name (``"bilinear"``), Pillow's integer (2), or a member, torchvision's included.
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"

    @property
    def pillow(self) -> int:
        """Pillow's number for it; it has one nearest."""
        mode = InterpolationMode.NEAREST if self is InterpolationMode.NEAREST_EXACT else self
        return next(number for number, known in _PILLOW.items() if known is mode)

    @classmethod
    def _missing_(cls, value: object) -> InterpolationMode | None:
        if type(value) is int:  # not True
            return _PILLOW.get(value)
        if isinstance(value, Enum) and value.value in cls._value2member_map_:
            return cls(value.value)
        return None


_PILLOW = {
    0: InterpolationMode.NEAREST,
    1: InterpolationMode.LANCZOS,
    2: InterpolationMode.BILINEAR,
    3: InterpolationMode.BICUBIC,
    4: InterpolationMode.BOX,
    5: InterpolationMode.HAMMING,
}
