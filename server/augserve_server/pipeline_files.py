"""Pipelines by name and by file, for the commands that work without a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from augserve_pipelines import InvalidPipeline, Pipeline, Problem
from augserve_server.catalog import SUFFIXES
from augserve_server.errors import PipelineNotFound
from augserve_server.settings import shipped_configs

LOCAL = Path("configs/pipelines")


def shipped_pipelines() -> Path:
    """The folder of the pipelines that ship."""
    return shipped_configs() / "pipelines"


def load_pipeline(name: str) -> Pipeline:
    """A pipeline by the name of a shipped one, or by the path of its YAML file.

    Raises FileNotFoundError, PipelineNotFound or InvalidPipeline.
    """
    if name.endswith(SUFFIXES):
        return Pipeline.load(name)
    shipped = {path.stem: path for path in pipeline_files(shipped_pipelines())}
    if name not in shipped:
        raise PipelineNotFound(name, list(shipped))
    return Pipeline.load(shipped[name])


def load_folder(folder: Path) -> tuple[list[Pipeline], list[Problem]]:
    """The good pipelines of a folder, and what is wrong with the others. Raises OSError where it cannot be read."""
    good: list[Pipeline] = []
    problems: list[Problem] = []
    for file in pipeline_files(folder):
        try:
            good.append(Pipeline.load(file))
        except InvalidPipeline as exc:
            problems += exc.problems
    return good, problems


def pipeline_files(folder: Path) -> list[Path]:
    """The pipeline files of a folder, in order of their names. Raises OSError where it cannot be read."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def files_to_check(paths: Sequence[Path]) -> list[Path]:
    """The files among ``paths`` and the pipeline files in the folders among them; none given: shipped ones and LOCAL.

    Raises FileNotFoundError for a path that is not there, ValueError where there is nothing to check.
    """
    chosen = paths or [shipped_pipelines(), *([LOCAL] if LOCAL.is_dir() else [])]
    if missing := [path for path in chosen if not path.exists()]:
        raise FileNotFoundError(f"there is no file or folder {str(missing[0])!r}")
    files = {file.resolve(): file for path in chosen for file in (pipeline_files(path) if path.is_dir() else [path])}
    if not files:
        raise ValueError(f"there is no pipeline (*.yaml) in {', '.join(map(str, chosen))}")
    return list(files.values())


def problems_of(file: Path) -> Sequence[Problem]:
    """Everything that is wrong with a pipeline file."""
    try:
        Pipeline.load(file)
    except InvalidPipeline as exc:
        return exc.problems
    return ()
