"""How closely a decoder must follow libjpeg-turbo: what a pipeline allows for speed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DecodeRule"]


class DecodeRule(BaseModel):
    """What a decoder may do for speed where it changes pixels; by default nothing.

    Other pixels are other results, so what is allowed here is part of the pipeline's fingerprint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    jpeg: Annotated[
        Literal["exact", "fast"],
        Field(
            description="pixels of a JPEG: those of libjpeg-turbo with exact DCT and chroma interpolation; or fast, "
            "with chroma repeated, and on CUDA by nvImageCodec"
        ),
    ] = "exact"
    scale: Annotated[
        Literal["full", "dct"],
        Field(
            description="size at which a JPEG is decoded: full, or dct for a half, a quarter or an eighth by its "
            "transform where the pipeline begins by making it that much smaller"
        ),
    ] = "full"
