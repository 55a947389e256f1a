"""Mutated and made-up pipeline files, each loaded as the server loads its folder."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from augserve_pipelines import InvalidInput, InvalidPipeline, Pipeline
from augserve_pipelines.arguments import Parameter
from augserve_pipelines.registry import known_transforms, parameters
from fuzz.mutations import BLIND, mutated

SHIPPED: Final = Path(__file__).parents[2] / "configs" / "pipelines"
MOST_PIXELS: Final = 100_000_000  # as the server's default

LAUGHS: Final = "a: &a [x]\n" + "".join(
    f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS: Final = (
    *(
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "!!binary aGk=",
        "!<tag:yaml.org,2002:int> 3",
    ),
    *(
        "&x [*x]",
        "*nowhere",
        "<<: {size: 3}",
        "{a: 1, a: 2}",
        "? [1]\n: 2",
        "--- 1\n--- 2",
        "%YAML 1.1\n---\n",
        "...\n",
    ),
    *(
        "[" * 40,
        "{a: " * 40,
        "[" * 5000,
        "- " * 200,
        "x" * 70_000,
        "9" * 5000,
        "0x" + "f" * 90,
        "1e309",
        "-.inf",
        ".nan",
    ),
    *(
        "\t",
        "\r",
        "\x00",
        "\ufeff",
        "\u2028",
        "\ud7ff",
        "é",
        "'",
        '"',
        "|",
        ">",
        "#",
        ": ",
        "- ",
        ",",
        "]",
        "}",
        LAUGHS,
    ),
)
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, 1.0, -0.5, 1.5, 1e-9, 1e9, 1e308, float("inf"), float("nan")),
    *(
        2**31,
        2**63,
        2**64,
        10**30,
        -(2**63),
        "",
        "x",
        "bilinear",
        "bicubic",
        "nearest",
        "constant",
        "reflect",
        "float32",
    ),
    *(
        [],
        [0],
        [1],
        [1, 2],
        [224, 224],
        [0.1, 0.9],
        [0.9, 0.1],
        [1, 2, 3],
        [1, 2, 3, 4],
        [0.5] * 3,
        [0] * 300,
        [[1, 2]] * 4,
    ),
    *({}, {"a": 1}, {"Image": 3}, {"others": 0}, [["x"]], "random", "XYXY", "uint8", "same", "../../etc/passwd", "all"),
)


@cache
def corpus() -> tuple[bytes, ...]:
    """The pipelines that ship, and one of the bare name of every transform."""
    shipped = [path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml"))]
    return (*shipped, *(f"transforms:\n  - {name}\n".encode() for name in sorted(known_transforms())))


def make_pipeline(index: int) -> bytes:
    """The pipeline file of this number: always the same one."""
    chance = random.Random(f"pipeline {index}")
    match chance.randrange(4):
        case 0:
            return mutated(chance, chance.choice(corpus()), BLIND)
        case 1:
            return _with_texts(chance, chance.choice(corpus()).decode()).encode(errors="surrogatepass")
        case 2:
            return _rewritten(chance, chance.choice(corpus()[: len(list(SHIPPED.glob("*.yaml")))]))
        case _:
            return json.dumps({"transforms": list(_steps(chance, 3)), **_rules(chance)}).encode()


def _with_texts(chance: random.Random, text: str) -> str:
    """Lines doubled, dropped, indented, and words of YAML put where they do not belong."""
    lines = text.split("\n")
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                lines[at:at] = [lines[at]] * chance.choice((1, 2, 300))
            case 1:
                lines[at] = " " * chance.randrange(8) + lines[at].lstrip()
            case 2:
                key, _, _ = lines[at].partition(":")
                lines[at] = f"{key}: {chance.choice(TEXTS)}"
            case _:
                column = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:column] + chance.choice(TEXTS) + lines[at][column:]
    return "\n".join(lines)


def _rewritten(chance: random.Random, text: bytes) -> bytes:
    """The same document with some of its values replaced."""
    document = yaml.safe_load(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        container, key = chance.choice([*_places(document)])
        container[key] = copy.deepcopy(chance.choice(VALUES))
    return yaml.safe_dump(document, sort_keys=False).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each of its keys."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _steps(chance: random.Random, depth: int) -> Iterator[Any]:
    """Transforms with arguments that are mostly of the right kind."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        name, kind = chance.choice(sorted(known_transforms().items()))
        given = {
            key: _value(chance, parameter, depth)
            for key, parameter in parameters(kind).items()
            if parameter.required or chance.random() < 0.4
        }
        yield {name: given} if given or chance.random() < 0.5 else name


def _value(chance: random.Random, parameter: Parameter, depth: int) -> Any:
    if parameter.name in ("transforms", "transform") and depth:
        return list(_steps(chance, depth - 1))
    return copy.deepcopy(chance.choice(VALUES))


def _rules(chance: random.Random) -> Mapping[str, Any]:
    if chance.random() < 0.7:
        return {}
    rules = {"mode": ("RGB", "L", "x"), "orientation": ("apply", "ignore"), "alpha": ("drop", "white", 3)}
    return {
        "input": {key: chance.choice(values) for key, values in rules.items()},
        "parity": chance.choice(("pillow", "torchvision", 1)),
        "decode": {"scale": chance.choice(("dct", "full", None))},
    }


def load_pipeline(text: bytes, file: Path) -> str:
    """What became of a file: loaded, refused, or of no use to any image. Raises what the server would not expect."""
    file.write_bytes(text)
    try:
        pipeline = Pipeline.load(file)
    except InvalidPipeline as exc:
        return "refused" if str(exc) else "refused without a word"
    try:
        pipeline.within(MOST_PIXELS).signature()
    except InvalidInput:
        return "cannot run"
    return "loaded"
