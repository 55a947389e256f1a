"""What a run over files has to do: the seed and the file of every result, less those that are written already."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from augserve import wire
from augserve_pipelines import Pipeline
from augserve_server.image_folder import Source, output_stems
from augserve_server.negotiation import media_types

RECORD_NAME = ".augserve-run.json"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A form of results: its media type, and the suffix of its files."""

    media_type: str
    suffix: str


FORMATS: Mapping[str, OutputFormat] = {
    "jpeg": OutputFormat(wire.JPEG, ".jpg"),
    "png": OutputFormat(wire.PNG, ".png"),
    "webp": OutputFormat(wire.WEBP, ".webp"),
    "npy": OutputFormat(wire.NPY, ".npy"),
    "safetensors": OutputFormat(wire.SAFETENSORS, ".safetensors"),
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the files of an output folder depend on beside their images; kept in that folder."""

    pipeline: str
    fingerprint: str
    seed: int
    views: int
    format: str
    quality: int


@dataclass(frozen=True, slots=True)
class Task:
    """One image, and those of its views that are not written yet: the seed and the file of each."""

    source: Source
    seeds: Sequence[int]
    files: Sequence[Path]


def choose_format(pipeline: Pipeline, asked: str | None) -> str:
    """The name in FORMATS of what to write: what was asked for, else the pipeline's default.

    Raises ValueError where the pipeline's results cannot be written so; it names the formats they can.
    """
    possible = media_types(pipeline.signature())
    names = sorted(
        (name for name, format in FORMATS.items() if format.media_type in possible),
        key=lambda name: possible.index(FORMATS[name].media_type),
    )
    if asked is not None and asked not in names:
        raise ValueError(f"the results of {pipeline.name!r} cannot be written as {asked}, but as {', '.join(names)}")
    return asked or names[0]


def plan_run(sources: Sequence[Source], output: Path, record: RunRecord) -> list[Task]:
    """What is left to do: view v of image i is drawn with seed + i * views + v; files that are there are skipped.

    Raises ValueError where two images would be written to one file, or the seeds run out.
    """
    if (end := record.seed + len(sources) * record.views) > wire.SEED_LIMIT:
        raise ValueError(f"the last result would have seed {end - 1}; seeds are below {wire.SEED_LIMIT}")
    tasks = []
    for index, (source, stem) in enumerate(zip(sources, output_stems(sources), strict=True)):
        files = [output / name for name in _names(stem, record)]
        missing = [view for view, file in enumerate(files) if not file.exists()]
        first = record.seed + index * record.views
        tasks.append(Task(source, [first + view for view in missing], [files[view] for view in missing]))
    return [task for task in tasks if task.files]


def keep_record(output: Path, record: RunRecord) -> None:
    """Write ``record`` into the output folder, so that a later run there can tell whether it goes on with this one.

    Raises ValueError, naming what differs, where the folder holds the results of another run.
    """
    file, new = output / RECORD_NAME, asdict(record)
    if not file.exists():
        write_file(file, [json.dumps(new, indent=2).encode(), b"\n"])
        return
    kept = json.loads(file.read_bytes())
    if changed := [f"{name} {kept.get(name)!r} (now {new[name]!r})" for name in new if kept.get(name) != new[name]]:
        raise ValueError(f"{output} holds the results of another run, with {', '.join(changed)}; name another folder")


def write_file(file: Path, content: Sequence[wire.Buffer]) -> None:
    """Write a file under another name, then give it its own: it is never there in part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    try:
        with unfinished.open("wb") as stream:
            stream.writelines(content)
        os.replace(unfinished, file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _names(stem: Path, record: RunRecord) -> list[Path]:
    numbers = [f"-{view}" for view in range(record.views)] if record.views > 1 else [""]
    return [stem.with_name(f"{stem.name}{number}{FORMATS[record.format].suffix}") for number in numbers]
