"""The reference page of the transforms, in Markdown: generated from their constructors and docstrings."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, get_origin

import yaml
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines import docstring
from augserve_pipelines.arguments import Parameter, own_words, words_of
from augserve_pipelines.constraints import is_steps
from augserve_pipelines.definition import loads
from augserve_pipelines.docstring import Docstring
from augserve_pipelines.errors import InvalidPipeline
from augserve_pipelines.registry import in_yaml, known_transforms, parameters
from augserve_pipelines.schema import Schema, parameter_schema, pipeline_schema
from augserve_pipelines.transforms.base import Transform
from augserve_pipelines.tv_tensors import BoundingBoxes, Image, KeyPoints, Mask, Video

__all__ = ["reference_page", "yaml_example"]

KINDS = {
    Tensor: "tensors",
    Image: "images",
    Video: "videos",
    Picture.Image: "PIL images",
    Mask: "masks",
    BoundingBoxes: "boxes",
    KeyPoints: "key points",
}
INTRODUCTION = """\
# Transforms

Each transform is named and parameterised as in `torchvision.transforms.v2`, and works three ways: as a step of a
pipeline file, in a `Pipeline`, and on one image as in torchvision.

A pipeline file is YAML, and its stem is the name of the pipeline. In it, a step is the name of a transform, or the name
with its parameters:

```yaml
description: Square crops, mirrored or not
parity: pillow
input: {alpha: white}
transforms:
  - RandomHorizontalFlip
  - RandomResizedCrop: {size: 224, interpolation: bicubic}
```

Where Python takes a tuple, YAML takes a list; a `torch.dtype` is written as its name, such as `float32`. Under *Draws*
is what a transform draws from the stream of its sample, in order: a sample's draws never depend on its neighbours.
Whatever a transform does not act on, masks beside a colour jitter for one, comes back as it is.
"""
NOT_IN_YAML = "For pipelines in Python: a file has no way to name a function."
RULES = """\
Scalars are those of YAML 1.2: `true` and `false` are the booleans, `on` and `yes` are strings. Anchors and aliases
work; tags, merge keys (`<<`) and duplicate keys are refused. With `# yaml-language-server: $schema=...` and the path of
`configs/pipeline.schema.json` as the first line, editors check and complete a file.
"""


def reference_page() -> str:
    """The whole page: an introduction, the names, and a section for each transform."""
    kinds = sorted(known_transforms().items())
    names = ", ".join(f"[{name}](#{name.lower()})" for name, _ in kinds)
    return "\n".join([INTRODUCTION, *_keys(), RULES, names, "", *(_section(name, kind) for name, kind in kinds)])


def yaml_example(name: str) -> str:
    """A step that shows a transform, as YAML: with the parameters that are required or do something when given.

    Before it stands what it cannot do without: floats.
    """
    shown = {
        parameter.name: words.example
        for parameter in parameters(known_transforms()[name]).values()
        if (parameter.required or parameter.default is None) and (words := own_words(parameter.annotation))
        if words.example is not None
    }
    values = yaml.safe_dump(shown, default_flow_style=True, sort_keys=False, width=1000).strip()
    step = f"- {name}: {values}" if shown else f"- {name}"
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that are deprecated
            loads(f"transforms:\n{step}", name)
    except InvalidPipeline:
        return f"- ToDtype: {{dtype: float32, scale: true}}\n{step}"
    return step


def _keys() -> Iterator[str]:
    yield "| key | allowed | default | |"
    yield "| --- | --- | --- | --- |"
    properties = pipeline_schema()["properties"]
    rules = {
        f"{key}.{name}": schema
        for key in ("input", "decode")
        for name, schema in properties.pop(key)["properties"].items()
    }
    transforms = properties.pop("transforms")
    for name, schema in {**properties, **rules, "transforms": transforms}.items():
        default = f"`{schema['default']}`" if "default" in schema else ""
        yield f"| `{name}` | {_allowed(schema)} | {default} | {schema['description']} |"
    yield ""


def _section(name: str, kind: type[Transform]) -> str:
    text = docstring.parse(kind.__doc__)
    return "\n".join(
        [
            f"## {name}\n",
            f"{text.summary}\n",
            *([f"{text.body}\n"] if text.body else []),
            f"```python\n{_signature(name, kind)}\n```\n",
            *_table(kind, text),
            f"*Acts on:* {_kinds(kind)}.\n",
            *_notes(text),
            f"```yaml\n{yaml_example(name)}\n```\n" if in_yaml(kind) else f"{NOT_IN_YAML}\n",
        ]
    )


def _kinds(kind: type[Transform]) -> str:
    if any(is_steps(parameter.annotation) for parameter in parameters(kind).values()):
        return "what its transforms act on"
    return ", ".join(name for one, name in KINDS.items() if one in kind.acts_on) or "nothing"


def _notes(text: Docstring) -> Iterator[str]:
    yield f"*Draws:* {text.sections.get('Draws', 'nothing.')}\n"
    if "Raises" in text.sections:
        yield f"*Raises:* {text.sections['Raises']}\n"


def _signature(name: str, kind: type[Transform]) -> str:
    line = f"{name}({', '.join(_declared(parameter) for parameter in parameters(kind).values())})"
    if len(line) <= 100:
        return line
    rows = "".join(f"    {_declared(parameter)},\n" for parameter in parameters(kind).values())
    return f"{name}(\n{rows})"


def _declared(parameter: Parameter) -> str:
    if parameter.required:
        return parameter.name
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return f"{parameter.name}={json.dumps(default) if isinstance(default, str) else repr(default)}"


def _table(kind: type[Transform], text: Docstring) -> Iterator[str]:
    if not parameters(kind):
        return
    yield "| parameter | takes | allowed | default | |"
    yield "| --- | --- | --- | --- | --- |"
    for name, parameter in parameters(kind).items():
        schema = parameter_schema(parameter)
        default = "required" if parameter.required else f"`{json.dumps(schema['default'])}`"
        takes = "a name" if get_origin(parameter.annotation) is Literal else words_of(parameter.annotation)
        cells = [f"`{name}`", takes, _allowed(schema), default, text.arguments[name]]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _allowed(schema: Schema) -> str:
    """The range of a number and of the items of a list, or the names there are; empty where all is allowed."""
    members = schema.get("anyOf", [schema])
    alone = [_range(member) for member in members if member.get("type") not in ("array", "object", "null", "boolean")]
    listed = [_range(member["items"]) for member in members if member.get("type") == "array" and "items" in member]
    if not (alone and listed) or set(alone) >= set(listed):
        return (alone or listed or [""])[0]
    return f"{alone[0]}, in a list {listed[0] or 'any'}"


def _range(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    texts = [_bounds(schema)]
    if excluded := schema.get("not"):
        texts.append("odd" if excluded == {"multipleOf": 2} else f"not {excluded['const']}")
    return ", ".join(text for text in texts if text)


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    above: Any = schema.get("exclusiveMinimum")
    if above is not None:
        return f"greater than {above}"
    return f"at least {low}" if low is not None else ""
