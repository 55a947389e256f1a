"""Tables of fields made into protobuf messages, in a pool of descriptors of their own.

Protobuf keeps one pool for a process, and refuses two files in it that say the same names: with our own pool,
``tritonclient.grpc`` and whoever else brings these messages can be imported beside us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_FIELD: Final = re.compile(
    r"(?:(?P<label>repeated|map) )?(?P<type>[\w.]+) (?P<name>\w+) = (?P<number>\d+)(?: in (?P<oneof>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A .proto file: the fields of each message, and the values of each enum, under names without the package.

    Fields are separated by semicolons: ``[repeated | map] type name = number [in oneof]``, where the keys of a map are
    strings. A message within another is named ``Outer.Inner``, and stands after it.
    """

    file: str
    package: str
    messages: Mapping[str, str]
    enums: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def described(self, before: Sequence[Table]) -> FileDescriptorProto:
        """As protobuf reads it, with the enums of the tables ``before``, which it may use."""
        file = FileDescriptorProto(name=self.file, package=self.package, syntax="proto3")
        file.dependency.extend(table.file for table in before)
        enums = {name for table in (self, *before) for name in table.enums}
        found: dict[str, DescriptorProto] = {}
        for name, fields in self.messages.items():
            outer, _, own = name.rpartition(".")
            found[name] = (found[outer].nested_type if outer else file.message_type).add(name=own)
            _add_fields(found[name], f".{self.package}.", name, fields, enums)
        for name, values in self.enums.items():
            outer, _, own = name.rpartition(".")
            enum = (found[outer].enum_type if outer else file.enum_type).add(name=own)
            for number, value in enumerate(values):
                enum.value.add(name=value, number=number)
        return file


class Messages:
    """The message classes of some tables, by name: ``messages["ModelInferRequest"]``."""

    def __init__(self, tables: Sequence[Table]) -> None:
        """Each table may use what stands in those before it."""
        pool = DescriptorPool()
        self._classes: dict[str, Any] = {}
        for place, table in enumerate(tables):
            pool.Add(table.described(tables[:place]))
            for name in table.messages:
                self._classes[name] = GetMessageClass(pool.FindMessageTypeByName(f"{table.package}.{name}"))

    def __getitem__(self, name: str) -> Any:
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)


def _add_fields(message: DescriptorProto, package: str, path: str, fields: str, enums: set[str]) -> None:
    oneofs: list[str] = []
    for text in filter(None, (" ".join(part.split()) for part in fields.split(";"))):
        match = _FIELD.fullmatch(text)
        assert match is not None, f"{path}: {text!r} is no field"
        one = message.field.add(name=match["name"], number=int(match["number"]))
        one.label = one.LABEL_REPEATED if match["label"] else one.LABEL_OPTIONAL
        if match["label"] == "map":
            entry = _entry_of(message, match["name"])
            _set_type(entry.field.add(name="value", number=2, label=one.LABEL_OPTIONAL), package, match["type"], enums)
            _set_type(one, package, f"{path}.{entry.name}", enums)
            continue
        _set_type(one, package, match["type"], enums)
        if match["oneof"]:
            if match["oneof"] not in oneofs:
                oneofs.append(match["oneof"])
                message.oneof_decl.add(name=match["oneof"])
            one.oneof_index = oneofs.index(match["oneof"])


def _entry_of(message: DescriptorProto, name: str) -> DescriptorProto:
    """The message that a map's entries are, without its value."""
    entry = message.nested_type.add(name="".join(word.capitalize() for word in name.split("_")) + "Entry")
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1)
    key.label, key.type = key.LABEL_OPTIONAL, key.TYPE_STRING
    return entry


def _set_type(one: FieldDescriptorProto, package: str, name: str, enums: set[str]) -> None:
    if name.islower():
        one.type = FieldDescriptorProto.Type.Value(f"TYPE_{name.upper()}")
        return
    one.type = one.TYPE_ENUM if name in enums else one.TYPE_MESSAGE
    one.type_name = package + name
