"""The command line, as real processes over real photographs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner
from watchfiles import watch

from augserve.wire import TENSOR_NAME, read_safetensors
from augserve_pipelines import Pipeline
from augserve_server.cli import app
from factories import make_file

FLOATS = """\
description: crops as floats
transforms:
  - RandomResizedCrop: {size: 32}
  - RandomHorizontalFlip
  - ToDtype: {dtype: float32, scale: true}
  - Normalize: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
"""
PICTURES = """\
description: crops as pictures
transforms:
  - RandomCrop: {size: 40}
"""


def augserve(*arguments: object) -> Result:
    """Run a command in this process, which has torch imported already."""
    return CliRunner().invoke(app, [*map(str, arguments)])


def augserve_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augserve_server", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: two pipelines, and photographs in `photos` and below it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "floats.yaml").write_text(FLOATS)
    (tmp_path / "pictures.yaml").write_text(PICTURES)
    (tmp_path / "photos/more").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").write_bytes(make_file("JPEG", (60, 90)))
    (tmp_path / "photos/a.png").write_bytes(make_file("PNG", (70, 50), name="coffee"))
    (tmp_path / "photos/more/b.webp").write_bytes(make_file("WEBP", (80, 80), name="chelsea", lossless=True))
    return tmp_path


def pixels_of(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_run_gives_what_the_library_gives_with_one_seed_more_for_each_image(folder: Path) -> None:
    done = augserve_process("run", "floats.yaml", "photos", "-o", "out", "--seed", 7)
    assert (done.returncode, done.stdout) == (0, "")
    assert written(folder / "out") == [".augserve-run.json", "a.jpg.npy", "a.png.npy", "more/b.npy"]
    inputs = [pixels_of(folder / "photos" / name) for name in ("a.jpg", "a.png", "more/b.webp")]
    expected = Pipeline.load(folder / "floats.yaml")(inputs, [7, 8, 9])
    for name, result in zip(("a.jpg", "a.png", "more/b"), expected, strict=True):
        assert np.array_equal(np.load(folder / f"out/{name}.npy"), result.numpy())


def test_run_draws_each_view_with_a_seed_of_its_own(folder: Path) -> None:
    options = ["--views", 2, "--format", "safetensors", "--batch", 1]
    assert augserve("run", "floats.yaml", "photos/more", "photos/a.jpg", "-o", "out", *options).exit_code == 0
    assert written(folder / "out")[1:] == [f"{name}-{view}.safetensors" for name in "ab" for view in (0, 1)]
    photograph = pixels_of(folder / "photos/more/b.webp")
    for view, result in enumerate(Pipeline.load(folder / "floats.yaml")([photograph] * 2, [2, 3])):
        tensors = read_safetensors((folder / f"out/b-{view}.safetensors").read_bytes())
        assert np.array_equal(tensors[TENSOR_NAME], result.numpy())


def test_run_writes_pictures_where_results_are_pictures(folder: Path) -> None:
    assert augserve("run", "pictures.yaml", "photos", "-o", "jpeg").exit_code == 0
    assert pixels_of(folder / "jpeg/more/b.jpg").shape == (3, 40, 40)
    assert augserve("run", "pictures.yaml", "photos", "-o", "png", "--format", "png").exit_code == 0
    expected = Pipeline.load(folder / "pictures.yaml")([pixels_of(folder / "photos/a.jpg")], [0])[0]
    assert torch.equal(pixels_of(folder / "png/a.jpg.png"), expected)


def test_bad_files_are_listed_and_the_others_written(folder: Path) -> None:
    (folder / "photos/cut.jpg").write_bytes(make_file("JPEG")[:5000])
    (folder / "photos/small.png").write_bytes(make_file("PNG", (10, 10)))
    (folder / "photos/text.jpg").write_text("not an image")
    done = augserve_process("run", "pictures.yaml", "photos", "-o", "out")
    assert done.returncode == 1
    assert written(folder / "out")[1:] == ["a.jpg.jpg", "a.png.jpg", "more/b.jpg"]
    *_, summary, cut, small, text = done.stderr.splitlines()
    assert summary.startswith("3 written, 3 failed in ")
    assert cut == "  photos/cut.jpg: the JPEG image ends before it is complete"
    assert small.startswith("  photos/small.png: ")
    assert "10" in small
    assert "photos/text.jpg: the image is of no allowed format" in text


def test_run_goes_on_where_it_was_stopped_and_gives_the_same(folder: Path) -> None:
    command = ["run", "floats.yaml", "photos", "-o", "out"]
    augserve(*command)
    first = {name: (folder / "out" / name).read_bytes() for name in written(folder / "out")}
    kept = (folder / "out/a.jpg.npy").stat().st_mtime_ns
    (folder / "out/more/b.npy").unlink()
    again = augserve(*command)
    assert again.stderr.startswith("2 of 3 images are already written")
    assert {name: (folder / "out" / name).read_bytes() for name in written(folder / "out")} == first
    assert (folder / "out/a.jpg.npy").stat().st_mtime_ns == kept


def test_run_does_not_mix_two_runs_in_one_folder(folder: Path) -> None:
    augserve("run", "floats.yaml", "photos", "-o", "out")
    other = augserve("run", "floats.yaml", "photos", "-o", "out", "--seed", 1)
    assert other.exit_code == 2
    assert other.stderr == "error: out holds the results of another run, with seed 0 (now 1); name another folder\n"


def test_an_interrupted_run_leaves_whole_files_and_can_go_on(folder: Path) -> None:
    photograph = make_file("JPEG")
    for number in range(1500):
        (folder / f"photos/{number:04}.jpg").write_bytes(photograph)
    (folder / "out").mkdir()
    command = [sys.executable, "-m", "augserve_server", "run", "floats.yaml", "photos", "-o", "out"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for changes in watch(folder / "out", debounce=50, step=10, rust_timeout=60_000, yield_on_timeout=True):
        assert changes, "nothing was written for a minute"
        if any(path.endswith(".npy") and not Path(path).name.startswith(".") for _, path in changes):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "stopped before the end; the same command goes on from here"
    results = [name for name in written(folder / "out") if name != ".augserve-run.json"]
    assert 0 < len(results) < 1503
    assert all(name.endswith(".npy") and np.load(folder / "out" / name).shape == (3, 32, 32) for name in results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "imagenet_trian", "photos"], "no pipeline named 'imagenet_trian'; did you mean 'imagenet_train'?"),
        (["run", "nothing.yaml", "photos"], "nothing.yaml: cannot be read"),
        (["run", "floats.yaml", "nowhere"], "there is no file or folder 'nowhere'"),
        (["run", "floats.yaml", "empty"], "there is no image in empty"),
        (["run", "floats.yaml", "photos", "--format", "jpeg"], "cannot be written as jpeg, but as npy, safetensors"),
        (["run", "floats.yaml", "photos", "--device", "cuda:99"], "'cuda:99' is not there"),
        (["run", "floats.yaml", "photos", "--seed", str(2**63 - 2)], "seeds are below 9223372036854775808"),
    ],
)
def test_a_mistaken_command_says_what_is_wrong_and_writes_nothing(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "empty").mkdir()
    done = augserve(*arguments, "-o", "out")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (folder / "out").exists()


def test_show_draws_a_sheet_with_the_original_and_each_sample(folder: Path) -> None:
    done = augserve("show", "pictures.yaml", "photos/a.png", "-o", "sheet.png", "--count", 4, "--size", 40)
    assert (done.exit_code, done.stderr) == (0, "")
    sheet = pixels_of(folder / "sheet.png")
    samples = Pipeline.load(folder / "pictures.yaml")([pixels_of(folder / "photos/a.png")] * 4, range(4))
    windows = sheet.unfold(1, 40, 1).unfold(2, 40, 1)  # [C, y, x, 40, 40]
    for sample in samples:
        assert (windows == sample[:, None, None]).all((0, 3, 4)).any()


def test_check_finds_the_shipped_pipelines_good(folder: Path) -> None:
    done = augserve("check")
    assert done.exit_code == 0, done.stderr
    assert {"imagenet_train.yaml: good", "thumbnail.yaml: good"} <= set(done.stdout.splitlines())


def test_check_prints_every_problem_and_fails(folder: Path) -> None:
    (folder / "configs/pipelines").mkdir(parents=True)
    (folder / "configs/pipelines/bad.yaml").write_text(
        "transforms:\n  - RandomHorizontalFlip: {p: 1.5}\n  - Resise: {size: 2}\n"
    )
    done = augserve("check")  # the local folder is found by itself
    assert done.exit_code == 1
    bad = [line for line in done.stdout.splitlines() if line.startswith("bad.yaml")]
    assert len(bad) == 2
    assert "1.5" in bad[0]
    assert "'Resize'" in bad[1]
    assert augserve("check", "floats.yaml").stdout == "floats.yaml: good\n"


def test_pipelines_lists_a_folder_for_people_and_for_programs(folder: Path) -> None:
    for_people = augserve("pipelines", "--pipelines", ".")
    assert for_people.exit_code == 0
    assert "float32 3 x 32 x 32" in for_people.stdout
    (floats, _) = json.loads(augserve("pipelines", "--pipelines", ".", "--json").stdout)
    loaded = Pipeline.load(folder / "floats.yaml")
    assert floats == {
        "name": "floats",
        "description": "crops as floats",
        "fingerprint": loaded.fingerprint,
        "output": {"dtype": "float32", "channels": 3, "height": 32, "width": 32},
    }


def test_the_version_is_that_of_the_distribution() -> None:
    assert augserve("--version").stdout == f"augserve {version('augserve')}\n"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, augserve_server.cli; print(*{'torch', 'fastapi', 'numpy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("package", ["typer", "torch", "yaml"])
def test_a_missing_extra_says_what_to_install(tmp_path: Path, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from augserve_server.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "check"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"'{package}' is not installed: pip install 'augserve[server]'\n")
