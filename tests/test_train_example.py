"""The training example, against a real server."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from augserve_server.settings import shipped_configs
from factories import make_files
from serving import run_server

EXAMPLE = Path(__file__).parents[1] / "examples" / "train.py"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "pipelines").mkdir()
    shutil.copy(shipped_configs() / "pipelines" / "imagenet_train.yaml", tmp_path / "pipelines")
    with run_server(pipelines=tmp_path / "pipelines") as live:
        yield live.url


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of images for each of two classes."""
    folder = tmp_path / "photographs"
    for i, file in enumerate(make_files(24)):
        path = folder / f"class {i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    return folder


def test_training_that_was_stopped_in_an_epoch_goes_on_as_if_it_had_not_been(
    address: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(checkpoint: str, *more: str) -> str:
        options = ["--server", address, "--images", str(photographs), "--batch-size", "5", "--epochs", "2"]
        example["main"]([*options, "--checkpoint", str(tmp_path / checkpoint), *more])
        return capsys.readouterr().out

    example = runpy.run_path(str(EXAMPLE))
    assert "epoch 1: 24 images" in train("whole.pt")
    assert "stopped after 3 steps" in train("left.pt", "--steps", "3")
    assert "resumed after 3 steps, in epoch 0\nepoch 0: 9 images" in train("left.pt")
    whole, left = (torch.load(tmp_path / name) for name in ("whole.pt", "left.pt"))
    assert (whole["steps"], whole["loader"]) == (left["steps"], left["loader"])
    assert all(torch.equal(weights, left["model"][name]) for name, weights in whole["model"].items())


def test_without_images_it_makes_some(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--server", address, "--checkpoint", str(tmp_path / "run.pt"), "--steps", "2"]
    runpy.run_path(str(EXAMPLE))["main"](options)
    assert capsys.readouterr().out == "stopped after 2 steps\n"
