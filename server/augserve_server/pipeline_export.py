"""`augserve export`: a pipeline as a file that torch alone can load and run."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

from augserve_pipelines import Pipeline
from augserve_pipelines.exporting import Exported, ProgramInput, export
from augserve_server.run_plan import write_file

SUFFIX = ".pt2"
ANY = "dynamic"


def parse_input(size: str | None, batch: str, channels: int) -> ProgramInput:
    """What a program shall take, of options as they were typed.

    Raises:
        ValueError: they are not sizes.
    """
    height, width = _parse_size(size) if size is not None else (None, None)
    return ProgramInput(_parse_batch(batch), channels, height, width)


def write_program(pipeline: Pipeline, takes: ProgramInput, output: Path) -> Exported:
    """Export a pipeline into a file, which is whole or not there.

    Raises:
        ValueError: the file's name has another ending than torch's, or the pipeline cannot be exported.
        OSError: it cannot be written.
    """
    if output.suffix != SUFFIX:
        raise ValueError(f"--output is {str(output)!r}; a name that ends in {SUFFIX} is needed")
    exported = export(pipeline, takes)
    content = BytesIO()
    exported.save(content)
    write_file(output, [content.getbuffer()])
    return exported


def _parse_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise ValueError(f"--size is {text!r}; HxW is needed, such as 480x640")
    return int(found[1]), int(found[2])


def _parse_batch(text: str) -> int | None:
    if text == ANY:
        return None
    if not re.fullmatch(r"[1-9]\d*", text):
        raise ValueError(f"--batch is {text!r}; a number from 1 on, or {ANY!r}, is needed")
    return int(text)
