"""A pipeline over files, in this process: decode in threads ahead of the engine, write in threads behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from augserve_pipelines import Pipeline, PipelinesError
from augserve_server.errors import ServiceError
from augserve_server.image_files import ImageReader
from augserve_server.image_folder import Source
from augserve_server.results import Form, write_one
from augserve_server.run_plan import Task, write_file

# A batch of photographs straight from a camera is closed by their size, not by their number.
BATCH_PIXELS = 64_000_000

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One image done; ``error`` says why it has no results, and is None where it has."""

    source: Source
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A task on its way: its decoded image, then its results, or why there are none."""

    task: Task
    image: Tensor | None = None  # [C, H, W]
    results: Sequence[Tensor] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FolderRun:
    """Carries out tasks. ``batch`` is the most results computed at once; ``workers`` threads decode and write."""

    pipeline: Pipeline
    device: torch.device
    read: ImageReader
    form: Form
    batch: int
    workers: int

    def outcomes(self, tasks: Iterable[Task]) -> Generator[Outcome]:
        """Run every task, in order. Each file is whole or absent, however the run ends."""
        pool = ThreadPoolExecutor(self.workers, "augserve-run", lambda: torch.set_num_threads(1))
        ahead = 4 * self.workers
        try:
            decoded = in_threads(pool, ahead, self._decoded, tasks)
            computed = (step for group in self._groups(decoded) for step in self._computed(group))
            yield from in_threads(pool, ahead, self._written, computed)
        finally:
            pool.shutdown(cancel_futures=True)

    def _decoded(self, task: Task) -> Step:
        try:
            return Step(task, image=self.read(task.source.path))
        except (OSError, ServiceError) as exc:
            return Step(task, error=_one_line(exc))

    def _groups(self, steps: Iterable[Step]) -> Iterator[list[Step]]:
        """The steps that are computed together: up to ``batch`` results, or BATCH_PIXELS of source."""
        group: list[Step] = []
        results = pixels = 0
        for step in steps:
            group.append(step)
            if step.image is not None:
                results += len(step.task.seeds)
                pixels += step.image.shape[-2] * step.image.shape[-1]
            if results >= self.batch or pixels >= BATCH_PIXELS:
                yield group
                group, results, pixels = [], 0, 0
        yield group

    def _computed(self, group: Sequence[Step]) -> list[Step]:
        images = [step.image for step in group for _ in step.task.seeds if step.image is not None]
        seeds = [seed for step in group for seed in step.task.seeds if step.image is not None]
        try:
            results = iter(self.pipeline(images, seeds, device=self.device)) if images else iter(())
        except PipelinesError as exc:
            if len(group) == 1:
                return [Step(group[0].task, error=_one_line(exc))]
            return [done for step in group for done in self._computed([step])]  # finds the one that cannot be run
        return [
            step if step.image is None else Step(step.task, results=[next(results).cpu() for _ in step.task.seeds])
            for step in group
        ]

    def _written(self, step: Step) -> Outcome:
        try:
            for result, file in zip(step.results, step.task.files, strict=False):
                write_file(file, write_one(result, self.form))
        except OSError as exc:
            return Outcome(step.task.source, _one_line(exc))
        return Outcome(step.task.source, step.error)


def in_threads(pool: ThreadPoolExecutor, ahead: int, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``function`` of each item, in order, with at most ``ahead`` of them under way."""
    under_way: deque[Future[R]] = deque()
    for item in items:
        under_way.append(pool.submit(function, item))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
