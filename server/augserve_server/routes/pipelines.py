"""GET /v1/pipelines: what can be run, and what each pipeline is."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from augserve.wire import Finish, Wire
from augserve_pipelines import DecodeRule, InputRule, InvalidInput, NoFinish, OutputSignature, Problem
from augserve_pipelines.explaining import SIZE
from augserve_server.catalog import Catalog, Served
from augserve_server.errors import ParameterInvalid
from augserve_server.explanations import Explained, explained
from augserve_server.openapi import DESCRIBE, LIST
from augserve_server.service import Service
from augserve_server.settings import Settings

SEEDS: Final = (
    "view v of image i has seed s = seed + i * views + v, and is what torch.manual_seed(s) and these transforms give "
    "for that image alone on the CPU"
)

router = APIRouter(tags=["pipelines"])


class Frozen(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Output(Frozen):
    """What comes out; null where it depends on the image or on chance."""

    dtype: str | None
    channels: int | None
    height: int | None
    width: int | None

    @classmethod
    def of(cls, signature: OutputSignature) -> Output:
        """The output of a signature."""
        return cls(dtype=signature.dtype, channels=signature.channels, height=signature.height, width=signature.width)


class Summary(Frozen):
    """A pipeline in a list."""

    name: str
    description: str
    fingerprint: str
    """sha256 of the canonical pipeline: equal fingerprints give equal bytes."""
    output: Output
    media_types: list[str]
    """What results can be sent as, the default first."""


class FileProblem(Frozen):
    """Something wrong in a pipeline file as it is now; its last good version serves on."""

    file: str | None
    place: str
    message: str
    line: int | None

    @classmethod
    def of(cls, problem: Problem) -> FileProblem:
        """The problem as the engine reported it."""
        return cls(file=problem.file, place=problem.place, message=problem.message, line=problem.line)


class Listing(Frozen):
    """Every pipeline, and everything wrong with the files."""

    pipelines: list[Summary]
    problems: list[FileProblem]


class Detail(Summary):
    """All there is to know of a pipeline."""

    parity: str
    input: InputRule
    decode: DecodeRule
    yaml: str
    """The canonical form, with every default spelled out."""
    revision: int
    """1 when first loaded, and one more for each change of the file."""
    loaded_at: datetime
    seeds: str
    wire: list[Wire]
    """What ``wire`` may be in the query of a request for results."""
    finish: Finish | None
    """What makes the results of the bytes that come with ``wire=uint8``; null where these are the results."""
    explanation: Explained | None = None
    """What runs for a batch; null unless ``explain`` asks for it."""
    unexplained: str | None = None
    """Why there is no explanation where one was asked for: the pipeline takes nothing of this size."""


class DescribeQuery(BaseModel):
    """What may stand in the query; anything else is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    explain: Annotated[bool, Field(description="Tell what runs for a batch: operations, launches, bytes moved.")] = (
        False
    )
    height: Annotated[int, Field(ge=1, description="Of the images that are explained for, in pixels.")] = SIZE[0]
    width: Annotated[int, Field(ge=1, description="Of the images that are explained for, in pixels.")] = SIZE[1]


@router.get("/v1/pipelines", **LIST)
async def list_pipelines(request: Request) -> Listing:
    """Every pipeline, by name."""
    catalog: Catalog = request.app.state.service.catalog
    pipelines = [_summary(served) for served in sorted(catalog, key=lambda served: served.name)]
    return Listing(pipelines=pipelines, problems=[FileProblem.of(problem) for problem in catalog.problems])


@router.get("/v1/pipelines/{name}", **DESCRIBE)
async def describe_pipeline(
    request: Request,
    name: Annotated[str, Path(description="Name of a pipeline.")],
    query: Annotated[DescribeQuery, Query()],
) -> Detail:
    """One pipeline: its YAML, what it takes and what it gives; what runs for a batch, where that is asked for."""
    service: Service = request.app.state.service
    served = service.catalog[name]
    pipeline = served.pipeline
    return Detail(
        **dict(_summary(served)),
        parity=pipeline.parity,
        input=pipeline.input,
        decode=pipeline.decode,
        yaml=pipeline.to_yaml(),
        revision=served.revision,
        loaded_at=served.loaded_at,
        seeds=SEEDS,
        **_wire(served),
        **(await _explanation(served, query, service.settings) if query.explain else {}),
    )


async def _explanation(served: Served, query: DescribeQuery, settings: Settings) -> dict[str, Any]:
    """For a batch as large as the service makes them of such images."""
    pixels = query.height * query.width
    _check_size("height", query.height, settings.max_image_side)
    _check_size("width", query.width, min(settings.max_image_side, max(1, settings.max_image_pixels // query.height)))
    count = max(1, min(settings.batch_images, int(settings.batch_megapixels * 1e6) // pixels))
    try:
        explanation = await asyncio.to_thread(explained, served.pipeline, (query.height, query.width), count)
    except InvalidInput as refusal:
        return {"unexplained": str(refusal)}
    return {"explanation": Explained.model_validate(explanation)}


def _check_size(name: str, side: int, most: int) -> None:
    if side > most:
        raise ParameterInvalid(name, side, f"an integer from 1 to {most} (pixels)")


def _wire(served: Served) -> dict[str, Any]:
    try:
        return {"wire": ["uint8"], "finish": served.in_bytes().finish}
    except NoFinish:
        return {"wire": [], "finish": None}


def _summary(served: Served) -> Summary:
    return Summary(
        name=served.name,
        description=served.pipeline.description,
        fingerprint=served.pipeline.fingerprint,
        output=Output.of(served.signature),
        media_types=served.media_types,
    )
