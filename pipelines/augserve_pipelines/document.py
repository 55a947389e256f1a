"""Reads a YAML text into nodes that know their line: plain data only, and never more of it than the limits allow.

Scalars are those of YAML 1.2, as in JSON: ``true``, ``null``, ``1e-3``; ``on``, ``yes`` and ``2020-01-01`` are strings.
Anchors and aliases work; tags, merge keys (``<<``), duplicate keys and a second document are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import yaml

from augserve_pipelines.arguments import shown

__all__ = ["MAX_ALIASES", "MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "DocumentError", "Node", "read"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_ALIASES = 64
MAX_NODES = 10_000  # counted with aliases written out

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Scalar: TypeAlias = str | int | float | bool | None

Started: TypeAlias = yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent

INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
MAX_DIGITS = 100  # of a number; anything longer stays a string


class DocumentError(Exception):
    """A text cannot be read as YAML, or goes over a limit: why, and on which line (from 1; None: as a whole)."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.message, self.line = message, line
        super().__init__(message, line)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the document: a scalar, a list of nodes, or a mapping from strings to nodes.

    ``line`` is where it stands; in a mapping, where its key stands. ``duplicates`` are the keys that a mapping repeats,
    each with its line. ``size`` and ``height`` count this node and all below it.
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    size: int = 1
    height: int = 1
    duplicates: tuple[tuple[str, int], ...] = ()

    def plain(self) -> object:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value

    def __str__(self) -> str:
        return shown(self.plain())


def read(text: str) -> Node | None:
    """The nodes of a YAML text; None where it has no document.

    Raises:
        DocumentError: it is no YAML, uses what is refused here, or goes over a limit.
    """
    try:
        return _Reader(iter(yaml.parse(text, Loader=Loader))).document()
    except yaml.MarkedYAMLError as error:
        raise _malformed(error, text) from error
    except yaml.YAMLError as error:  # a ReaderError, which has a position and no line
        raise DocumentError(f"is not YAML: {str(error).splitlines()[0]}") from error
    except UnicodeEncodeError as error:
        raise DocumentError(f"is not YAML: {error.reason}", text.count("\n", 0, error.start) + 1) from error


def _malformed(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    message = " ".join(part for part in ("is not YAML:", error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return DocumentError(message)
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)  # the end of the text counts as a line of its own
    at_a_tab = lines[line][mark.column :].startswith("\t")
    return DocumentError(message + ("; indent with spaces, not tabs" if at_a_tab else ""), line + 1)


@dataclass(slots=True)
class _Reader:
    """Builds nodes from parse events, one event at a time, so that each limit is met before more is built."""

    events: Iterator[yaml.Event]
    anchors: dict[str, Node | None] = field(default_factory=dict)  # None: begun, not yet complete
    aliases: int = 0
    size: int = 0

    def document(self) -> Node | None:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        root = self.node(next(self.events), depth=1)
        next(self.events)  # the end of the document
        if not isinstance(event := next(self.events), yaml.StreamEndEvent):
            raise DocumentError("has a second document; one file is one pipeline", _line(event))
        return root

    def node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        assert isinstance(event, Started)  # a parser gives nothing else where a value stands
        if event.tag is not None:
            raise DocumentError(f"uses the tag {event.tag!r}; tags are not allowed", _line(event))
        if event.anchor:
            self.anchors[event.anchor] = None
        self.grow(1, depth, event)
        node = self.untagged(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def untagged(self, event: Started, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, depth)
        return Node(_scalar(event), _line(event))

    def alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        if event.anchor not in self.anchors:
            raise DocumentError(f"uses the alias *{event.anchor}, which no anchor before it defines", _line(event))
        if (node := self.anchors[event.anchor]) is None:
            raise DocumentError(f"uses the alias *{event.anchor} inside its own anchor", _line(event))
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise DocumentError(f"has more than {MAX_ALIASES} aliases", _line(event))
        self.grow(node.size, depth + node.height - 1, event)
        return replace(node, line=_line(event))

    def sequence(self, start: yaml.Event, depth: int) -> Node:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return _parent(items, start, items)

    def mapping(self, start: yaml.Event, depth: int) -> Node:
        entries: dict[str, Node] = {}
        duplicates = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event)
            value = replace(self.node(next(self.events), depth + 1), line=_line(event))
            if key in entries:
                duplicates.append((key, value.line))
            else:
                entries[key] = value
        return replace(_parent(entries, start, list(entries.values())), duplicates=tuple(duplicates))

    def key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise DocumentError("has a key that is not a plain string", _line(event))
        if event.tag is not None:
            raise DocumentError(f"uses the tag {event.tag!r}; tags are not allowed", _line(event))
        if event.value == "<<" and event.implicit[0]:
            raise DocumentError("uses a merge key (<<); write the keys out, or alias a whole value", _line(event))
        return str(event.value)

    def grow(self, nodes: int, depth: int, event: yaml.Event) -> None:
        self.size += nodes
        if self.size > MAX_NODES:
            raise DocumentError(f"has more than {MAX_NODES} values, aliases written out", _line(event))
        if depth > MAX_DEPTH:
            raise DocumentError(f"is nested more than {MAX_DEPTH} deep", _line(event))


def _parent(value: list[Node] | dict[str, Node], start: yaml.Event, children: list[Node]) -> Node:
    size = 1 + sum(child.size for child in children)
    return Node(value, _line(start), size, 1 + max((child.height for child in children), default=0))


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # parse events are always marked
    return event.start_mark.line + 1


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    text: str = event.value
    if not event.implicit[0] or len(text) > MAX_DIGITS:  # quoted, or a block of text
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text, 10 if text.lstrip("+-").isdigit() else 0)
    return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text) if FLOAT.fullmatch(text) else text
