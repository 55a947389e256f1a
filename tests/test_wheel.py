"""The wheel: it carries the configurations, and works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_packages_configurations_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert len(configs) > 8
    assert {f"augserve_server/{name}" for name in configs} <= names
    assert {"augserve/py.typed", "augserve_pipelines/py.typed", "augserve_server/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name]
    strays = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert strays == {"augserve", "augserve_pipelines", "augserve_server"}


def test_the_installed_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = "import augserve_server; print(augserve_server.__file__)"
    found = subprocess.run([sys.executable, "-c", where], env=environment, cwd=empty, capture_output=True, text=True)
    assert found.stdout.startswith(str(site))
    command = [sys.executable, "-m", "augserve_server", "pipelines", "--json"]
    listed = subprocess.run(command, env=environment, cwd=empty, capture_output=True, text=True, check=True)
    names = [entry["name"] for entry in json.loads(listed.stdout)]
    assert names == sorted(path.stem for path in (ROOT / "configs/pipelines").glob("*.yaml"))
    assert not list(empty.iterdir())
