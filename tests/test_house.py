"""The rules of the house that no linter knows: sizes, imports, words, and what the wheel carries."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = {"augserve": "client", "augserve_pipelines": "pipelines", "augserve_server": "server"}
MAX_LINES = 500
NOT_OURS = {".git", ".venv", ".hypothesis", "__pycache__", "build", "dist", "out"}
TEXT = {".md", ".py", ".toml", ".txt", ".yaml", ".yml", ".json", ""}

# What must not stand in any file, and why.
FORBIDDEN = {
    r"\b(TODO|FIXME|XXX)\b": "unfinished work belongs in the tracker",
    r"(?<![\w.])/(home|root|work|Users)/": "a path of one machine",
    r"\b(files|download|test)\.(pythonhosted|pytorch|pypi)\.org\b|\bpypi\.org/simple": "a registry's host",
}


def text_files() -> Iterator[Path]:
    for parent, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(("cache", "egg-info"))]
        yield from (Path(parent, name) for name in files if Path(name).suffix in TEXT)


def source_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[str]:
    """Every module that a file imports by its full name, and every name it takes from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_is_over_the_limit_of_lines() -> None:
    files = source_files("client", "pipelines", "server", "tests", "benchmarks", "examples", "scripts")
    assert len(files) > 50
    long = {str(path.relative_to(ROOT)): n for path in files if (n := len(path.read_text().splitlines())) > MAX_LINES}
    assert not long


def test_the_server_takes_only_the_wire_from_the_client() -> None:
    crossing = {
        f"{path.name}: {name}"
        for path in source_files("server")
        for name in imported_names(path)
        if re.match(r"augserve(\.|$)", name) and not re.match(r"augserve\.wire(\.|$)", name)
    }
    assert not crossing


def test_nothing_shipped_imports_torchvision() -> None:
    users = [
        path
        for path in source_files(*PACKAGES.values())
        if "torchvision" in {n.split(".")[0] for n in imported_names(path)}
    ]
    assert not users


def test_every_package_that_the_tests_run_on_is_pinned() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {line.split("==")[0]: line.split("==")[1].split()[0] for line in lines}
    installed = {name: Version(distribution(name).version).public for name in needed_packages()}
    assert len(installed) > 50
    assert installed == {name: pins.get(name) for name in installed}


def needed_packages() -> set[str]:
    """The canonical names of all that pyproject.toml asks for, for use and for tests, and of what that needs here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    to_do = [
        Requirement(text)
        for text in (*project["dependencies"], *extras["server"], *extras["pipelines"], *extras["dev"])
    ]
    seen: set[tuple[str, str]] = set()
    while to_do:
        requirement = to_do.pop()
        for extra in ("", *requirement.extras):
            package = (canonicalize_name(requirement.name), extra)
            if package[0] != "augserve" and package not in seen:
                seen.add(package)
                needs = map(Requirement, distribution(requirement.name).requires or ())
                to_do += [each for each in needs if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


@pytest.mark.parametrize("pattern", FORBIDDEN, ids=FORBIDDEN.values())
def test_no_file_says_what_it_must_not(pattern: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        if path != Path(__file__)
        for match in re.finditer(pattern, path.read_text())
    }
    assert not found
