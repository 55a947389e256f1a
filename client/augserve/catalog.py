"""What the service says about its pipelines."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from augserve.errors import ResponseInvalid
from augserve.wire import Finish


class Output(BaseModel):
    """What results are: [channels, height, width] of ``dtype``; None is what depends on the image or on chance."""

    model_config = ConfigDict(extra="allow", frozen=True)

    dtype: str | None
    channels: int | None
    height: int | None
    width: int | None


class PipelineInfo(BaseModel):
    """A pipeline that is served."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    description: str
    fingerprint: str
    """sha256 of the canonical form: the same fingerprint, image and seed give the same result."""
    output: Output
    media_types: tuple[str, ...]
    """What results can be written as; the first is the default."""


class PipelineDetails(PipelineInfo):
    """A pipeline in full."""

    parity: str
    input: dict[str, Any]
    decode: dict[str, Any] = {}
    yaml: str
    """The canonical form: what runs the same pipeline anywhere else."""
    revision: int
    """How often it has been loaded."""
    loaded_at: datetime
    wire: tuple[str, ...] = ()
    """What results may travel as: ``("uint8",)`` where ``augment`` takes ``wire="uint8"``."""
    finish: Finish | None = None
    """What makes the results of these bytes; None where they are the results."""


class Catalog(BaseModel):
    """The answer of ``GET /v1/pipelines``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    pipelines: tuple[PipelineInfo, ...]


Document = TypeVar("Document", bound=BaseModel)


def read_document(model: type[Document], body: bytes | bytearray) -> Document:
    """A JSON answer; raises ResponseInvalid where it is something else."""
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as exc:
        raise ResponseInvalid(f"the answer is no {model.__name__}: {exc}") from exc
