"""Explanations of pipelines, as the service tells them."""

from __future__ import annotations

from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from augserve_pipelines import Explanation, Pipeline, explain

KEPT = 128  # explanations, each of a pipeline and a size


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class ExplainedCost(_Part):
    """Launches for the whole batch on CUDA, about; bytes for an image of it, on average."""

    launches: int
    bytes_read: int
    bytes_written: int


class ExplainedOrigin(_Part):
    """An operation as it was drawn, and on how many samples of the batch it acts."""

    name: str
    samples: int


class ExplainedStep(_Part):
    """An operation as it runs."""

    name: str
    samples: int
    """On how many samples of the batch it acts."""
    origins: list[ExplainedOrigin]
    """The operations that fused into it, in their order."""
    cost: ExplainedCost


class Explained(_Part):
    """What runs for one batch of images of one size, drawn under seeds in a row."""

    inputs: str
    """What comes in: images, images with boxes, videos."""
    height: int
    width: int
    count: int
    """Images in the batch."""
    seed: int
    """Of the first image; the next has one more."""
    drawn: int
    """How many operations were drawn, before any fused."""
    steps: list[ExplainedStep]
    together: list[str]
    """The transforms that act on the whole batch after that, and those after them; their cost is not told."""
    fused: ExplainedCost
    unfused: ExplainedCost
    """What the operations would cost as they were drawn, one by one."""


@lru_cache(maxsize=KEPT)
def explained(pipeline: Pipeline, size: tuple[int, int], count: int) -> Explanation:
    """What ``pipeline`` does to ``count`` images of a height and a width: found out once.

    Raises InvalidInput where it takes nothing of this size.
    """
    return explain(pipeline, size, count)
