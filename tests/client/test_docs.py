from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from factories import make_file

DOCS = Path(__file__).parents[2] / "docs" / "client.md"


def printed(block: str) -> list[str]:
    """What the comments behind ``print`` promise."""
    return re.findall(r"^\s*print\(.*\)  # (.+)$", block, re.MULTILINE)


def test_the_examples_of_the_page_print_what_they_say(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, photograph in (("cat.jpg", "chelsea"), ("dog.jpg", "china")):
        Path(name).write_bytes(make_file("JPEG", (240, 320), name=photograph))
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) == 17
    for block in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(block.replace("http://127.0.0.1:8000", address), names)
        assert output.getvalue().splitlines() == printed(block)


def test_the_page_names_every_error() -> None:
    from augserve import errors

    found = {name for name, kind in vars(errors).items() if isinstance(kind, type) and name.isidentifier()}
    ours = {name for name in found if issubclass(getattr(errors, name), errors.AugserveError)}
    assert ours <= set(re.findall(r"`(\w+)`", DOCS.read_text()))
