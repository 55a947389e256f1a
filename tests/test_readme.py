"""The README keeps its word: what it shows runs as it stands, and its table is that of the pipelines that ship."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augserve.wire import read_safetensors
from augserve_pipelines import Pipeline
from augserve_pipelines.definition import loads
from augserve_server.pipeline_table import describe_output
from serving import run_server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with run_server() as live:
        yield live.url


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """An empty folder that has the configurations where a checkout has them."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def shell(script: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_curl_lines_work_as_pasted(url: str, checkout: Path) -> None:
    scripts = [block for block in blocks("sh") if "curl" in block]
    assert len(scripts) >= 4
    said = [
        shell(script.replace(ADDRESS, url).replace("curl ", "curl --fail --silent "), checkout) for script in scripts
    ]
    with Image.open(checkout / "augmented.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (224, 224))
    assert np.load(checkout / "chelsea.npy").shape == (3, 224, 224)
    pairs = read_safetensors((checkout / "pairs.safetensors").read_bytes())["images"]
    assert (pairs.shape, pairs.dtype) == ((4, 3, 224, 224), np.float16)
    assert '"imagenet_train"' in said[-1]


def test_the_command_line_examples_work_as_pasted(checkout: Path) -> None:
    (script,) = [block for block in blocks("sh") if "augserve run" in block]
    shell(script, checkout)
    assert len(list((checkout / "out").glob("chelsea-?.npy"))) == 4
    with Image.open(checkout / "sheet.jpg") as sheet, Image.open(ROOT / "docs/simclr.jpg") as shown:
        assert sheet.size == shown.size


@pytest.mark.parametrize("code", blocks("python"), ids=["client", "library"])
def test_the_python_examples_work_as_pasted(
    url: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.chdir(checkout)
    names: dict[str, object] = {}
    exec(code.replace(ADDRESS, url), names)
    shapes = {tuple(value.shape) for name in ("crop", "batch") if (value := names.get(name)) is not None}
    assert shapes <= {(3, 224, 224), (2, 3, 224, 224)}
    assert shapes


def test_the_yaml_example_loads() -> None:
    (example,) = blocks("yaml")
    assert loads(example, "example").transforms


def test_the_table_is_that_of_the_shipped_pipelines() -> None:
    shipped = [Pipeline.load(path) for path in sorted((ROOT / "configs/pipelines").glob("*.yaml"))]
    rows = [f"| `{p.name}` | {describe_output(p.signature())} | {p.description} |" for p in shipped]
    assert "\n".join(rows) in README


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))],
)
def test_links_to_files_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_page_on_the_command_line_has_every_command_and_option() -> None:
    import typer.main

    from augserve_server.cli import app

    page = (ROOT / "docs/cli.md").read_text()
    sections = dict(re.findall(r"^## augserve (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    commands = typer.main.get_command(app).commands
    assert sections.keys() == commands.keys()
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")} - {
            "--help"
        }
        assert set(re.findall(r"--[a-z][a-z-]*", sections[name])) == options, name
