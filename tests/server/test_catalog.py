"""Named pipelines: loaded, reloaded, refused, and never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from augserve_pipelines import Pipeline
from augserve_server.catalog import Catalog
from augserve_server.errors import NoPipelines, PipelineNotFound
from augserve_server.executor import Executor

FLIP = "description: flips\ntransforms: [RandomHorizontalFlip]\n"
CROP = "description: crops\ntransforms:\n  - RandomCrop: {size: 8}\n"
BAD = "transforms:\n  - RandomHorizontalFlip: {p: 1.5}\n"


class Folder:
    """A folder of pipelines and the catalog over it."""

    def __init__(self, path: Path, executor: Executor) -> None:
        self.path = path
        self.reloads: list[str] = []
        self.catalog = Catalog(path, executor.warm_up, self.reloads.append)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    @property
    def names(self) -> list[str]:
        return sorted(served.name for served in self.catalog)

    @property
    def problems(self) -> list[str]:
        return [str(problem) for problem in self.catalog.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    executor = Executor(torch.device("cpu"))
    made = Folder(tmp_path, executor)
    made.write("flip.yaml", FLIP)
    made.catalog.load()
    yield made
    executor.close()


def test_files_are_pipelines_by_their_stem(folder: Folder) -> None:
    folder.write("crop.yml", CROP)
    folder.write("notes.txt", "not a pipeline")
    folder.write(".hidden.yaml", BAD)
    folder.write("flip.yaml~", BAD)
    (folder.path / "folder.yaml").mkdir()
    folder.catalog.refresh()
    assert folder.names == ["crop", "flip"]
    assert folder.problems == []
    assert folder.catalog["crop"].pipeline.description == "crops"
    assert folder.catalog["crop"].signature.height == 8


def test_an_unknown_name_lists_what_there_is(folder: Folder) -> None:
    with pytest.raises(PipelineNotFound, match="did you mean 'flip'") as caught:
        folder.catalog["flop"]
    assert caught.value.members["allowed"] == ["flip"]


def test_a_good_change_is_swapped_in_and_whoever_began_with_the_old_keeps_it(folder: Folder) -> None:
    old = folder.catalog["flip"]
    folder.write("flip.yaml", FLIP.replace("flips", "flips well"))
    folder.catalog.refresh()
    new = folder.catalog["flip"]
    assert (old.revision, new.revision) == (1, 2)
    assert new.pipeline.description == "flips well"
    assert old.pipeline.description == "flips"
    assert new.loaded_at >= old.loaded_at
    assert folder.reloads == ["good", "good"]


def test_a_bad_change_is_reported_and_the_old_serves_on(folder: Folder) -> None:
    old = folder.catalog["flip"]
    folder.write("flip.yaml", BAD)
    folder.catalog.refresh()
    assert folder.catalog["flip"] is old
    assert len(folder.problems) == 1
    assert folder.problems[0].startswith("flip.yaml:2: transforms[0].RandomHorizontalFlip.p")
    assert folder.reloads == ["good", "bad"]
    folder.write("flip.yaml", FLIP)
    folder.catalog.refresh()
    assert folder.problems == []
    assert folder.catalog["flip"].revision == 2


def test_what_has_not_changed_is_not_loaded_again(folder: Folder) -> None:
    folder.write("bad.yaml", BAD)
    folder.catalog.refresh()
    before = folder.catalog["flip"]
    os.utime(folder.path / "flip.yaml")
    folder.catalog.refresh()
    assert folder.catalog["flip"] is before
    assert folder.reloads == ["good", "bad"]


def test_a_half_written_file_is_a_problem_until_it_is_whole(folder: Folder) -> None:
    folder.write("new.yaml", CROP[:40])
    folder.catalog.refresh()
    assert folder.names == ["flip"]
    assert folder.problems
    folder.write("new.yaml", CROP)
    folder.catalog.refresh()
    assert folder.names == ["flip", "new"]
    assert folder.problems == []


def test_a_deleted_file_takes_its_pipeline_along(folder: Folder) -> None:
    folder.write("crop.yaml", CROP)
    folder.write("bad.yaml", BAD)
    folder.catalog.refresh()
    (folder.path / "crop.yaml").unlink()
    (folder.path / "bad.yaml").unlink()
    folder.catalog.refresh()
    assert folder.names == ["flip"]
    assert folder.problems == []
    assert folder.reloads.count("removed") == 2


def test_a_file_that_is_replaced_by_renaming_is_a_change(folder: Folder) -> None:
    folder.write("flip.yaml.tmp", FLIP.replace("flips", "renamed"))
    os.replace(folder.path / "flip.yaml.tmp", folder.path / "flip.yaml")
    folder.catalog.refresh()
    assert folder.catalog["flip"].pipeline.description == "renamed"


def test_links_that_are_switched_are_a_change(folder: Folder) -> None:
    for version in ("one", "two"):
        (folder.path / version).mkdir()
        (folder.path / version / "linked.yaml").write_text(FLIP.replace("flips", version))
    (folder.path / "current").symlink_to("one")
    (folder.path / "linked.yaml").symlink_to("current/linked.yaml")
    folder.catalog.refresh()
    assert folder.catalog["linked"].pipeline.description == "one"
    (folder.path / "next").symlink_to("two")
    os.replace(folder.path / "next", folder.path / "current")
    folder.catalog.refresh()
    assert folder.catalog["linked"].pipeline.description == "two"


def test_two_files_for_one_name_are_a_problem(folder: Folder) -> None:
    folder.write("flip.yml", CROP)
    folder.catalog.refresh()
    assert folder.catalog["flip"].pipeline.description == "flips"
    assert folder.problems == ["flip.yml: there is another file for a pipeline named 'flip'"]


def test_a_name_that_a_path_cannot_carry_is_a_problem(folder: Folder) -> None:
    folder.write("my flip.yaml", FLIP)
    folder.catalog.refresh()
    assert folder.names == ["flip"]
    assert "my flip" in folder.problems[0]


def test_a_pipeline_that_cannot_run_is_a_problem(tmp_path: Path) -> None:
    def refuse(pipeline: Pipeline) -> None:
        if pipeline.name == "crop":
            raise RuntimeError("out of order")

    (tmp_path / "flip.yaml").write_text(FLIP)
    (tmp_path / "crop.yaml").write_text(CROP)
    catalog = Catalog(tmp_path, refuse)
    catalog.load()
    assert [served.name for served in catalog] == ["flip"]
    assert [str(problem) for problem in catalog.problems] == ["crop.yaml: cannot run: out of order"]


def test_a_pipeline_that_takes_no_photograph_is_a_problem(folder: Folder) -> None:
    folder.write("huge.yaml", "transforms: [RandomCrop: {size: 20000}]")
    folder.catalog.refresh()
    assert folder.names == ["flip"]
    assert folder.problems[0].startswith("huge.yaml: ")
    assert "RandomCrop takes a window of 20000 x 20000 pixels" in folder.problems[0]


def test_a_folder_that_is_gone_leaves_its_pipelines(folder: Folder) -> None:
    (folder.path / "flip.yaml").unlink()
    folder.path.rmdir()
    folder.catalog.refresh()
    assert folder.names == ["flip"]


def test_problems_say_the_file_but_not_where_it_lies(folder: Folder) -> None:
    folder.write("bad.yaml", BAD)
    folder.catalog.refresh()
    assert [problem.file for problem in folder.catalog.problems] == ["bad.yaml"]


@pytest.mark.parametrize(("files", "message"), [({}, "there is no pipeline"), ({"bad.yaml": BAD}, "bad.yaml:2: ")])
def test_a_folder_with_nothing_to_serve_is_an_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(NoPipelines, match=message):
        Catalog(tmp_path, lambda pipeline: None).load()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoPipelines, match="there is no folder"):
        Catalog(tmp_path / "missing", lambda pipeline: None).load()
