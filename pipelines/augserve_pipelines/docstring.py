"""Reads docstrings in Google style: what the JSON Schema and the reference page say about a transform."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Docstring", "parse"]

SECTION = re.compile(r"(Args|Draws|Raises|Returns): *(.*)")
ENTRY = re.compile(r"(\*{0,2}\w+): *(.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring in parts: its first sentence, the paragraphs after it, and the sections. Inline code is in `...`."""

    summary: str
    body: str
    sections: Mapping[str, str]
    arguments: Mapping[str, str]


def parse(text: str | None) -> Docstring:
    """The parts of a docstring; line breaks inside a paragraph or an entry become spaces."""
    lines = inspect.cleandoc(text or "").replace("``", "`").splitlines()
    blocks: dict[str, list[str]] = {"": []}
    name = ""
    for line in lines:
        if match := SECTION.fullmatch(line):
            name, line = match.groups()
            blocks[name] = []
        blocks[name].append(line)
    summary, _, body = "\n".join(blocks.pop("")).strip().partition("\n\n")
    arguments = _entries(blocks.pop("Args", []))
    paragraphs = "\n\n".join(_joined(paragraph) for paragraph in body.split("\n\n"))
    return Docstring(
        _joined(summary), paragraphs, {key: _joined(" ".join(rows)) for key, rows in blocks.items()}, arguments
    )


def _entries(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n".join(["", *lines])).splitlines():
        match = ENTRY.fullmatch(line)
        if match:
            name = match[1]
            entries[name] = match[2]
        elif name and line.strip():
            entries[name] = f"{entries[name]} {line.strip()}"
    return {name: _joined(entry) for name, entry in entries.items()}


def _joined(text: str) -> str:
    return " ".join(text.split())
