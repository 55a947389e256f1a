"""The named pipelines: loaded from a folder, swapped whole when their files change."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import torch
from watchfiles import awatch

from augserve.wire import Finish
from augserve_pipelines import (
    Finishing,
    InvalidInput,
    InvalidPipeline,
    NoFinish,
    OutputSignature,
    Pipeline,
    Problem,
)
from augserve_pipelines.acceptance import Accepted, accepted
from augserve_server.errors import NoPipelines, PipelineNotFound, PipelineUnfit
from augserve_server.negotiation import TENSOR_TYPES, media_types
from augserve_server.work import OverImages, OverSamples

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
SUFFIXES = (".yaml", ".yml")
# A change is taken up once the folder has been quiet for this long: editors write, rename and write again.
QUIET_MS = 100
# Where nothing tells of changes (some network mounts, or before the watch began), they are looked for this often.
LOOK_MS = 1000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A pipeline as it is served. A request keeps the one that it began with, whatever happens to the file."""

    name: str
    pipeline: Pipeline
    revision: int
    loaded_at: datetime
    finish: Finish | None = None
    """What is left to do with the results, which are bytes; None: they are as the pipeline gives them."""
    signature: OutputSignature = field(init=False)
    pixel_bytes: int = field(init=False, repr=False)
    """Of one pixel of a result, in all its channels."""
    over_images: OverImages = field(init=False, repr=False)
    _over_samples: Mapping[bool, OverSamples] = field(init=False, repr=False)
    _casts: dict[str, Served] = field(init=False, repr=False, default_factory=dict)
    _in_bytes: list[Served | str] = field(init=False, repr=False, default_factory=list)
    _accepted: list[Accepted] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        alone = self.pipeline.per_sample
        signature = self.pipeline.signature()
        dtype: torch.dtype = getattr(torch, signature.dtype or "float32")
        object.__setattr__(self, "signature", signature)
        object.__setattr__(self, "pixel_bytes", (signature.channels or 3) * dtype.itemsize)
        object.__setattr__(self, "over_images", OverImages(alone))
        object.__setattr__(self, "_over_samples", {records: OverSamples(alone, records) for records in (False, True)})

    def over_samples(self, records: bool) -> OverSamples:
        """What is done to samples of several parts: one object each, so that requests share batches."""
        return self._over_samples[records]

    def giving(self, dtype: str) -> Served:
        """The same, with its floats cast to another dtype: one object for each, so that requests share batches."""
        if dtype not in self._casts:
            self._casts[dtype] = replace(self, pipeline=self.pipeline.giving(getattr(torch, dtype)))
        return self._casts[dtype]

    def in_bytes(self) -> Served:
        """The same with results of uint8, where the floats can be made of them later, as ``finish`` says.

        Where they are uint8 as they are, itself; else one object, so that requests share batches. Raises NoFinish.
        """
        if self.signature.dtype == "uint8":
            return self
        if not self._in_bytes:
            self._in_bytes.append(self._unfinished())
        found = self._in_bytes[0]
        if isinstance(found, str):
            raise NoFinish(found)
        return found

    @property
    def accepted(self) -> Accepted:
        """What the pipeline runs on; found out once, in a tenth of a second."""
        if not self._accepted:
            self._accepted.append(accepted(self.pipeline))
        return self._accepted[0]

    @property
    def media_types(self) -> list[str]:
        """What results can be written as, the default first; bytes that are not finished are no pictures."""
        return media_types(self.signature) if self.finish is None else list(TENSOR_TYPES)

    def _unfinished(self) -> Served | str:
        """Or why there is none."""
        try:
            return replace(self, pipeline=self.pipeline.unfinished(), finish=finish_of(self.pipeline.finishing))
        except (InvalidInput, NoFinish) as exc:
            return str(exc)


def finish_of(finishing: Finishing) -> Finish:
    """What is left to do, as it is told to clients."""
    dtype, result = (str(one).removeprefix("torch.") for one in (finishing.dtype, finishing.result))
    numbers = {"scale": finishing.scale, "mean": finishing.mean, "std": finishing.std}
    return Finish.model_validate({"dtype": dtype, **numbers, "result": result})


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is known of one file: its content as last read, what serves, and what is wrong with the content."""

    digest: bytes
    served: Served | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One consistent state of the folder; replaced, never changed."""

    entries: Mapping[str, _Entry] = field(default_factory=dict)  # by file name
    served: Mapping[str, Served] = field(default_factory=dict)  # by pipeline name
    problems: tuple[Problem, ...] = ()
    withdrawn: frozenset[str] = frozenset()  # pipelines that are not served though their files are there


class Catalog:
    """The pipelines of a folder. Safe from any thread; what reads files blocks."""

    def __init__(
        self,
        folder: Path,
        warm_up: Callable[[Pipeline], None],
        on_reload: Callable[[str], None] = lambda outcome: None,
        most_pixels: int | None = None,
    ) -> None:
        self._folder = folder
        self._most_pixels = most_pixels
        self._warm_up = warm_up
        self._on_reload = on_reload
        self._snapshot = _Snapshot()
        self._changing = Lock()

    def __getitem__(self, name: str) -> Served:
        served = self._snapshot.served
        if name not in served:
            raise PipelineNotFound(name, sorted(served))
        return served[name]

    def __iter__(self) -> Iterator[Served]:
        return iter(self._snapshot.served.values())

    def __contains__(self, name: object) -> bool:
        return name in self._snapshot.served

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files as they are now; their last good versions serve on."""
        return self._snapshot.problems

    def load(self) -> None:
        """Read the folder for the first time. Raises NoPipelines where there is nothing to serve."""
        if not self._folder.is_dir():
            raise NoPipelines(f"there is no folder {str(self._folder)!r} of pipelines")
        self.refresh()
        if not self._snapshot.served:
            wrong = "".join(f"\n  {problem}" for problem in self.problems)
            raise NoPipelines(f"there is no pipeline (*.yaml) to serve in the folder {str(self._folder)!r}{wrong}")

    def refresh(self) -> None:
        """Read what has changed in the folder since the last time, and swap it in. Blocking."""
        with self._changing:
            self._refresh(self._snapshot.withdrawn)

    def withdraw(self, name: str) -> None:
        """Serve a pipeline no more, until it is admitted again. Raises PipelineNotFound where it is not served."""
        with self._changing:
            before = self._snapshot
            self[name]
            self._snapshot = _publish(before.entries, before.withdrawn | {name})
        logger.info("pipeline %s is withdrawn", name)

    def admit(self, name: str) -> None:
        """Read the file of a pipeline again, and serve it. Blocking.

        Raises PipelineNotFound where there is no file of it, and PipelineUnfit where its file is wrong.
        """
        with self._changing:
            self._refresh(self._snapshot.withdrawn - {name})
        problems = [str(problem) for file, problem in self._problems_by_file() if Path(file).stem == name]
        if problems:
            raise PipelineUnfit(name, problems)
        self[name]

    def absent(self) -> dict[str, str]:
        """The pipelines that have files and are not served, and why."""
        snapshot = self._snapshot
        unfit = {Path(file).stem: str(problem) for file, problem in self._problems_by_file()}
        absent = {**unfit, **dict.fromkeys(snapshot.withdrawn, "unloaded")}
        return {name: why for name, why in absent.items() if name not in snapshot.served}

    def _problems_by_file(self) -> Iterator[tuple[str, Problem]]:
        return ((problem.file, problem) for problem in self._snapshot.problems if problem.file)

    def _refresh(self, withdrawn: frozenset[str]) -> None:
        try:
            files = sorted(path for path in self._folder.iterdir() if _is_pipeline_file(path))
        except OSError as exc:
            logger.error("the folder of pipelines cannot be read; serving on: %s", exc)
            return
        before = self._snapshot
        entries = {path.name: self._entry(path, before.entries.get(path.name)) for path in files}
        self._log_removed(before, entries)
        there = {Path(file).stem for file in entries}
        self._snapshot = _publish(entries, withdrawn & there)

    async def watch(self) -> None:
        """Refresh whenever something in the folder changes, until cancelled."""
        changes = awatch(
            self._folder,
            watch_filter=None,
            recursive=False,
            step=QUIET_MS,
            debounce=LOOK_MS // 2,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
        )
        async for _ in changes:
            await asyncio.to_thread(self.refresh)

    def _entry(self, path: Path, before: _Entry | None) -> _Entry:
        try:
            digest = hashlib.sha256(path.read_bytes()).digest()
        except OSError as exc:
            return self._refuse(b"", before, (Problem(path.name, "", str(exc.strerror)),))
        if before is not None and before.digest == digest:
            return before
        try:
            served = self._load(path, before.served if before else None)
        except InvalidPipeline as exc:
            return self._refuse(digest, before, exc.problems)
        self._on_reload("good")
        logger.info("pipeline %s is loaded, revision %d", served.name, served.revision)
        return _Entry(digest, served)

    def _load(self, path: Path, before: Served | None) -> Served:
        if not NAME.fullmatch(path.stem):
            raise InvalidPipeline([Problem(path.name, "", f"{path.stem!r} is no name: use A-Z a-z 0-9 . _ -")])
        pipeline = Pipeline.load(path)
        if self._most_pixels is not None:
            pipeline = pipeline.within(self._most_pixels)
        revision = before.revision + 1 if before else 1
        try:
            self._warm_up(pipeline)
            return _served(path.stem, pipeline, revision)
        except Exception as exc:  # whatever it is, it is the file's: the server and its other pipelines go on
            logger.warning("pipeline %s failed on its first images", path.stem, exc_info=exc)
            raise InvalidPipeline([Problem(path.name, "", f"cannot run: {exc}")]) from exc

    def _refuse(self, digest: bytes, before: _Entry | None, problems: tuple[Problem, ...]) -> _Entry:
        self._on_reload("bad")
        for problem in problems:
            logger.error("pipeline file refused: %s", problem)
        return _Entry(digest, before.served if before else None, problems)

    def _log_removed(self, before: _Snapshot, entries: Mapping[str, _Entry]) -> None:
        for name in before.entries.keys() - entries.keys():
            self._on_reload("removed")
            logger.info("pipeline file %s is gone", name)


def _served(name: str, pipeline: Pipeline, revision: int) -> Served:
    served = Served(name, pipeline, revision, datetime.now(UTC))
    with suppress(NoFinish):
        served.in_bytes()  # found out now, not while requests wait
    return served


def _is_pipeline_file(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _publish(entries: Mapping[str, _Entry], withdrawn: frozenset[str]) -> _Snapshot:
    served: dict[str, Served] = {}
    problems: list[Problem] = []
    for file, entry in entries.items():
        problems += [Problem(file, problem.place, problem.message, problem.line) for problem in entry.problems]
        if entry.served is None or entry.served.name in withdrawn:
            continue
        if entry.served.name in served:
            problems.append(Problem(file, "", f"there is another file for a pipeline named {entry.served.name!r}"))
        else:
            served[entry.served.name] = entry.served
    return _Snapshot(entries, served, tuple(problems), withdrawn)
