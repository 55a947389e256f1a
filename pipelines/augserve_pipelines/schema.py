"""The JSON Schema of pipeline files, for editors: generated from the constructors and docstrings of the transforms."""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from pydantic import BaseModel

from augserve_pipelines import docstring
from augserve_pipelines.arguments import Parameter
from augserve_pipelines.canonical import plain
from augserve_pipelines.constraints import is_steps
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.registry import in_yaml, known_transforms, parameters
from augserve_pipelines.transforms.base import Transform

__all__ = ["Schema", "parameter_schema", "pipeline_schema"]

Schema: TypeAlias = dict[str, Any]


def pipeline_schema() -> Schema:
    """The schema of a pipeline file (JSON Schema, draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "augserve pipeline",
        "description": "A named pipeline of image transforms. The name is the stem of the file.",
        **_closed(
            {
                "description": {"type": "string", "description": "What the pipeline is for, for people."},
                "parity": {
                    "enum": list(get_args(Parity)),
                    "default": "torchvision",
                    "description": "Whose antialiased resize to reproduce, bit for bit.",
                },
                "input": _rule_schema(InputRule),
                "decode": _rule_schema(DecodeRule),
                "transforms": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": "#/$defs/Step"},
                    "description": "The transforms, in the order they run.",
                },
            },
            required=["transforms"],
        ),
        "$defs": {"Step": _step_schema(), **{name: _transform_schema(kind) for name, kind in _sorted_transforms()}},
    }


def parameter_schema(parameter: Parameter) -> Schema:
    """The schema of the values that a parameter takes, with its default."""
    schema = parameter.adapter.json_schema()
    if is_steps(parameter.annotation):
        return {**schema, "items": {"$ref": "#/$defs/Step"}}
    return schema if parameter.required else {**schema, "default": plain(parameter.check(parameter.default), "")}


def _sorted_transforms() -> list[tuple[str, type[Transform]]]:
    return sorted((name, kind) for name, kind in known_transforms().items() if in_yaml(kind))


def _step_schema() -> Schema:
    names = [name for name, kind in _sorted_transforms() if not _required(kind)]
    steps = {name: {"$ref": f"#/$defs/{name}"} for name, _ in _sorted_transforms()}
    return {
        "description": "A transform: its name, or its name with parameters.",
        "anyOf": [
            {"type": "string", "enum": names},
            {**_closed(steps), "minProperties": 1, "maxProperties": 1},
        ],
    }


def _transform_schema(kind: type[Transform]) -> Schema:
    text = docstring.parse(kind.__doc__)
    properties = {
        name: {"description": text.arguments.get(name, ""), **parameter_schema(parameter)}
        for name, parameter in parameters(kind).items()
    }
    required = _required(kind)
    # "RandomHorizontalFlip:" with nothing after the colon is null.
    values = {} if required else {"type": ["object", "null"]}
    description = " ".join(part for part in (text.summary, text.body) if part)
    return {"description": description, **_closed(properties, required), **values}


def _required(kind: type[Transform]) -> list[str]:
    return [name for name, parameter in parameters(kind).items() if parameter.required]


def _rule_schema(rule: type[BaseModel]) -> Schema:
    fields = rule.model_json_schema()["properties"]
    properties = {
        name: {key: value for key, value in field.items() if key != "title"} for name, field in fields.items()
    }
    return {"description": docstring.parse(rule.__doc__).summary, **_closed(properties)}


def _closed(properties: Schema, required: list[str] | None = None) -> Schema:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema
