"""What is left to do with the bytes that a service sends in place of floats."""

from __future__ import annotations

from functools import cached_property, partial
from math import prod
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from augserve.wire.dtypes import InvalidBody, narrow, widen

Wire: TypeAlias = Literal["uint8"]
"""What results of floats may travel as."""

FloatName: TypeAlias = Literal["float16", "bfloat16", "float32", "float64"]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Bytes: TypeAlias = npt.NDArray[np.uint8]

_BYTES: Final = np.arange(256, dtype=np.uint8)
_NUMPY: Final = {"float16": np.float16, "bfloat16": np.float32, "float32": np.float32, "float64": np.float64}


class Finish(BaseModel):
    """What makes floats of bytes [..., C, H, W]: of a byte v in channel c, (v * scale - mean[c]) / std[c].

    Each of the three steps is rounded to ``dtype``, and the last value to ``result``. Every number is exactly the one
    to compute with, whether it is read as a float64 or as a float32: one of ``dtype``, and ``scale`` a float32 where
    ``dtype`` has 16 bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)  # a step that is not known is no detail

    dtype: FloatName
    scale: float
    """1 / 255; or 1, where values are not scaled."""
    mean: tuple[float, ...] | None
    """One for each channel, or one for all; null: nothing is subtracted."""
    std: tuple[float, ...] | None
    """One for each channel, or one for all; null: nothing is divided."""
    result: FloatName

    def write(self) -> str:
        """The text that travels in a header."""
        return self._text

    @cached_property
    def _text(self) -> str:
        return self.model_dump_json()

    @classmethod
    def read(cls, text: str) -> Finish:
        """From the text that came; raises InvalidBody where it says something else, or more than is known here."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as exc:
            problem = exc.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise InvalidBody(f"the finish is wrong{' at ' + place if place else ''}: {problem['msg']}") from exc

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``InvalidBody`` for a shape that is none of images, or of images of other channels."""
        counts = {len(values) for values in (self.mean, self.std) if values is not None}
        if len(shape) < 3 or not counts <= {1, shape[-3]}:
            raise InvalidBody(f"the finish is for {max(counts, default=1)} channels, and the answer is {list(shape)}")

    def to_numpy(self, pixels: Bytes) -> Floats:
        """The floats of bytes [..., C, H, W], in memory of their own; bfloat16 as float32, exactly.

        Raises ``InvalidBody`` as :meth:`check` does.
        """
        self.check(pixels.shape)
        floats = np.empty(pixels.shape, _NUMPY[self.result])
        images = (prod(pixels.shape[:-3]), *pixels.shape[-3:])
        write = self._compute if self._in_place else partial(_look_up, self.table(pixels.shape[-3]))
        for image, result in zip(pixels.reshape(images), floats.reshape(images), strict=True):  # each while in cache
            write(image, result)
        return floats

    def table(self, channels: int) -> Floats:
        """What becomes of each byte: [C, 256]; bfloat16 as float32, exactly."""
        values = np.empty((channels, 1, 256), np.float64 if self.dtype == "float64" else np.float32)
        self._compute(np.broadcast_to(_BYTES, values.shape), values)
        return _rounded(values, self.result).astype(_NUMPY[self.result]).reshape(channels, 256)

    @property
    def _in_place(self) -> bool:
        """Whether numpy computes in the result's own type, which takes it half as long as looking values up."""
        return self.dtype == self.result and self.dtype in ("float32", "float64")

    def _compute(self, image: Bytes, values: Floats) -> None:
        """Step by step as torch does it: 16-bit floats in float32, and rounded after each step."""
        values[...] = image
        steps = ((np.multiply, (self.scale,)), (np.subtract, self.mean), (np.divide, self.std))
        with np.errstate(all="ignore"):
            for step, numbers in steps:
                if numbers is not None:
                    step(values, np.array(numbers, values.dtype).reshape(-1, 1, 1), out=values)
                    if not self._in_place:
                        values[...] = _rounded(values, self.dtype)


def _look_up(table: Floats, image: Bytes, floats: Floats) -> None:
    for values, channel, result in zip(table, image, floats, strict=True):
        np.take(values, channel, out=result, mode="clip")  # no byte is out of range, and clipping is faster


def _rounded(values: Floats, name: FloatName) -> Floats:
    """The nearest values of an element type; of 16 bits by way of float32, as torch goes."""
    if name == "float64" or (name == "float32" and values.dtype == np.float32):
        return values
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
        if name == "float16":
            return single.astype(np.float16)
    return single if name == "float32" else widen(narrow(single))
