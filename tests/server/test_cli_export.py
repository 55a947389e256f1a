"""`augserve export`: files that torch alone runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from augserve_pipelines import Pipeline
from augserve_server.cli import app
from augserve_server.pipeline_files import load_pipeline
from factories import make_image

GRAY = """\
description: gray thumbnails
input: {mode: L}
transforms:
  - Resize: {size: 16}
  - CenterCrop: {size: [16, 12]}
"""
ALONE = """
import sys, torch
for name in ("augserve", "augserve_pipelines", "augserve_server"):
    sys.modules[name] = None  # so that importing it fails
program, image, result = sys.argv[1:]
torch.save(torch.export.load(program).module()(torch.load(image)), result)
"""


def augserve(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gray.yaml").write_text(GRAY)
    return tmp_path


def test_an_exported_file_runs_without_augserve(folder: Path) -> None:
    result = augserve("clip_eval", "-o", "clip.pt2", "--size", "90x120", "--batch", "2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "clip.pt2: 2 x 3 x 90 x 120 uint8 to 2 x 3 x 224 x 224 float32\n"
    images = [make_image((90, 120)), make_image((90, 120), name="coffee")]
    torch.save(torch.stack(images), folder / "images.pt")
    subprocess.run([sys.executable, "-I", "-c", ALONE, "clip.pt2", "images.pt", "results.pt"], check=True)
    expected = torch.stack(list(load_pipeline("clip_eval")(images)))
    assert torch.equal(torch.load(folder / "results.pt"), expected)


@pytest.mark.parametrize("options", [[], ["--dynamic", "--batch", "dynamic"]])
def test_a_file_takes_images_of_any_size_unless_told_otherwise(folder: Path, options: list[str]) -> None:
    result = augserve("gray.yaml", "-o", "out/gray.pt2", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "out/gray.pt2: any x 1 x any x any uint8 to any x 1 x 16 x 12 uint8\n"
    run = torch.export.load(folder / "out/gray.pt2").module()
    pipeline = Pipeline.load(folder / "gray.yaml")
    for size in ((40, 50), (90, 30), (16, 16)):
        image = make_image(size, channels=1)
        assert torch.equal(run(image.unsqueeze(0))[0], pipeline([image])[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagenet_train", "-o", "a.pt2"], "error: transforms[0].RandomResizedCrop: cannot be exported: it draws"),
        (["gray.yaml", "-o", "a.onnx"], "error: --output is 'a.onnx'; a name that ends in .pt2 is needed"),
        (["gray.yaml", "-o", "a.pt2", "--size", "224"], "error: --size is '224'; HxW is needed, such as 480x640"),
        (["gray.yaml", "-o", "a.pt2", "--size", "0x9"], "error: --size is '0x9'"),
        (["gray.yaml", "-o", "a.pt2", "--batch", "all"], "error: --batch is 'all'; a number from 1 on, or 'dynamic'"),
        (["gray.yaml", "-o", "a.pt2", "--size", "8x8", "--dynamic"], "error: --size and --dynamic exclude each other"),
        (["absent", "-o", "a.pt2"], "error: no pipeline named 'absent'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named_and_nothing_is_written(folder: Path, arguments: list[str], message: str) -> None:
    result = augserve(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in folder.iterdir()] == ["gray.yaml"]
