"""How a decoded image becomes the input of a pipeline, whatever it was before."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["InputRule"]


class InputRule(BaseModel):
    """How a decoded image becomes the input of a pipeline: its channels, its orientation, its transparency.

    An image that already is of the mode is left alone; any other is converted: palettes are looked up, CMYK and gray
    become RGB, 16-bit samples are scaled to 8 bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: Annotated[
        Literal["RGB", "L"], Field(description="channels of the input: RGB (3 channels) or L (1 channel, luminance)")
    ] = "RGB"
    orientation: Annotated[
        Literal["apply", "ignore"], Field(description="whether the EXIF orientation turns the image upright")
    ] = "apply"
    alpha: Annotated[
        Literal["drop", "white"],
        Field(description="transparency: drop it, keeping the colours as stored, or lay the image on white"),
    ] = "drop"

    @property
    def channels(self) -> int:
        """How many channels the input has."""
        return {"RGB": 3, "L": 1}[self.mode]
