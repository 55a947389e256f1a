"""Measures every transform against torchvision, target by target, and writes docs/parity.md.

``python -m scripts.parity_page`` writes the page; with ``--check`` it fails where the page is not what is measured. A
transform that is new in ``augserve_pipelines.transforms`` is measured with the examples of its parameters.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/pipelines")]

import PIL.Image  # noqa: E402  # after the paths of the oracle
import torch  # noqa: E402
from targets import as_ours, make_boxes  # noqa: E402
from torch import Tensor  # noqa: E402

from augserve_pipelines import Pipeline, tv_tensors  # noqa: E402
from augserve_pipelines.arguments import Parameter, own_words  # noqa: E402
from augserve_pipelines.constraints import is_steps  # noqa: E402
from augserve_pipelines.interchange import to_torchvision  # noqa: E402
from augserve_pipelines.registry import in_yaml, known_transforms, parameters  # noqa: E402
from augserve_pipelines.transforms.base import Transform, is_batched  # noqa: E402
from augserve_pipelines.tv_tensors.interop import kind_of  # noqa: E402
from factories import make_image, make_picture  # noqa: E402
from oracle import torchvision  # noqa: E402
from oracle import tv_tensors as tv  # noqa: E402
from torchvision_codec import codec  # noqa: E402

PAGE = ROOT / "docs/parity.md"
SEEDS = range(3)
SIZES = ((40, 60), (61, 47))
SIZE = 32  # of the results of transforms that must be told one
SMALL_SIZES = {"LinearTransformation": ((4, 5),)}  # it takes a matrix of C * H * W columns
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "LinearTransformation": {
        "transformation_matrix": torch.rand(60, 60, generator=torch.Generator().manual_seed(0)),
        "mean_vector": torch.linspace(0, 1, 60),
    }
}
UPRIGHT = ("XYXY", "XYWH", "CXCYWH")
ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY")

Make: TypeAlias = Callable[[tuple[int, int]], list[Any]]
Outcome: TypeAlias = "float | str"

EXACT, SAME, REFUSED, DIFFERS = 0.0, "passes", "refused", "differs"


def _video(size: tuple[int, int], dtype: torch.dtype = torch.uint8) -> Tensor:
    return torch.stack([make_image(size, dtype, name=name) for name in ("china", "flower", "chelsea", "coffee")])


def _masks(size: tuple[int, int]) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    return [
        tv.Mask(torch.randint(0, 21, size, generator=generator, dtype=torch.uint8)),
        tv.Mask(torch.rand(5, *size, generator=generator) < 0.5),
        tv.Mask(torch.randint(0, 999, size, generator=generator)),
    ]


def _points(size: tuple[int, int]) -> list[Any]:
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([size[1], size[0]])
    empty = tv.KeyPoints(torch.zeros(0, 2), canvas_size=size)
    return [tv.KeyPoints(points, canvas_size=size), tv.KeyPoints(points.long(), canvas_size=size), empty]


def _boxes(formats: Sequence[str], size: tuple[int, int]) -> list[Any]:
    whole = [make_boxes(size, dtype=torch.int64)] if formats is UPRIGHT else []
    return [make_boxes(size, form, count=count) for form in formats for count in (5, 0)] + whole


TARGETS: Mapping[str, Make] = {
    "image uint8": lambda size: [tv.Image(make_image(size))],
    "image float32": lambda size: [tv.Image(make_image(size, torch.float32))],
    "tensor uint8": lambda size: [make_image(size)],
    "video uint8": lambda size: [tv.Video(_video(size))],
    "video float32": lambda size: [tv.Video(_video(size, torch.float32))],
    "PIL": lambda size: [make_picture(size=size)],
    "mask": _masks,
    "boxes": lambda size: _boxes(UPRIGHT, size),
    "rotated boxes": lambda size: _boxes(ROTATED, size),
    "key points": _points,
}
BESIDE_AN_IMAGE = ("mask", "boxes", "rotated boxes", "key points")


def measured() -> dict[str, dict[str, Outcome]]:
    """The outcome of every transform for every target."""
    return {name: {target: measure(kind, target) for target in TARGETS} for name, kind in _sorted() if in_yaml(kind)}


def measure(kind: type[Transform], target: str) -> Outcome:
    """The greatest difference from torchvision over sizes and seeds, eagerly and in a pipeline, or a word."""
    transform = example(kind)
    oracle = to_torchvision([transform]).transforms[0]
    outcomes = [
        _compared(transform, oracle, _sample(transform, target, leaf, size), leaf, seed)
        for size in SMALL_SIZES.get(kind.__name__, SIZES)
        for leaf in _leaves(transform, target, size)
        for seed in SEEDS
    ]
    for word in (DIFFERS, SAME, REFUSED):
        if word in outcomes and (word == DIFFERS or set(outcomes) == {word}):
            return word
    return max((one for one in outcomes if not isinstance(one, str)), default=SAME)


def example(kind: type[Transform]) -> Transform:
    """The transform with the example of each parameter that is required."""
    required = (one for one in parameters(kind).values() if one.required)
    return kind(**ARGUMENTS.get(kind.__name__, {one.name: _example(one) for one in required}))


def _example(parameter: Parameter) -> Any:
    if parameter.name == "size":
        return SIZE
    words = own_words(parameter.annotation)
    assert words is not None
    steps: Any = words.example
    return [example(known_transforms()[name]) for name in steps] if is_steps(parameter.annotation) else words.example


def page() -> str:
    """The whole page, measured now."""
    rows = measured()
    exact = sum(all(outcome in (EXACT, SAME, REFUSED) for outcome in one.values()) for one in rows.values())
    lines = [
        "# Parity with torchvision",
        "",
        "Written by `python -m scripts.parity_page`, which runs every transform against torchvision and compares",
        f"bytes, eagerly and in a `Pipeline`: {len(SIZES)} sizes of photographs, {len(SEEDS)} seeds, the examples of",
        f"[transforms.md](transforms.md). torch {_version(torch)}, torchvision {_version(torchvision)}, "
        f"Pillow {_version(PIL)}, on the CPU.",
        "",
        "The tests in `tests/pipelines` try far more parameters, sizes, dtypes and seeds; what differs there is in",
        "[exceptions.md](exceptions.md), with the bound, the reason and the test.",
        "",
        "*exact*: every byte, and all metadata. *±x*: values differ by at most x. *passes*: comes back as it was.",
        "*refused*: both raise an error. Boxes are in the formats XYXY, XYWH and CXCYWH, rotated ones in XYWHR,",
        "CXCYWHR and XYXYXYXY; floats and integers, and none at all. Masks are of uint8, bool and int64, as [H, W] and",
        "[N, H, W].",
        "",
        f"{exact} of {len(rows)} transforms are exact for everything.",
        "",
        f"| transform | {' | '.join(TARGETS)} |",
        f"| --- |{' --- |' * len(TARGETS)}",
        *(row(name, outcomes) for name, outcomes in rows.items()),
    ]
    without = [name for name, kind in _sorted() if not in_yaml(kind)]
    if without:
        lines += ["", f"Not in the table, as they do what a Python function of yours does: {', '.join(without)}."]
    return "\n".join(lines) + "\n"


def _version(module: Any) -> str:
    return str(module.__version__).partition("+")[0]


def row(name: str, outcomes: Mapping[str, Outcome]) -> str:
    """The line of the page about a transform."""
    return f"| {name} | {' | '.join(_word(outcomes[target]) for target in TARGETS)} |"


def _sorted() -> list[tuple[str, type[Transform]]]:
    return sorted(known_transforms().items())


def _leaves(transform: Transform, target: str, size: tuple[int, int]) -> Iterator[Any]:
    for leaf in TARGETS[target](size):
        batches = is_batched(transform) and isinstance(leaf, Tensor) and target not in BESIDE_AN_IMAGE
        yield type(leaf)(torch.stack([leaf.as_subclass(Tensor)] * 2)) if batches else leaf


def _sample(transform: Transform, target: str, leaf: Any, size: tuple[int, int]) -> list[Any]:
    """The sample that a leaf is measured in; beside an image, that is of bytes or, where that is refused, of floats."""
    count = len(leaf) if isinstance(leaf, Tensor) and leaf.ndim else 2
    labels = torch.eye(count) if is_batched(transform) else torch.arange(count)
    needed: dict[str, Any] = {}
    if tv_tensors.BoundingBoxes in transform.needs and "boxes" not in target:
        needed["boxes"] = make_boxes(size, count=count)
    if tv_tensors.KeyPoints in transform.needs and target != "key points":
        needed["points"] = torch.cat([_points(size)[0]] * 20)[:count]
        needed["points"] = tv.KeyPoints(needed["points"], canvas_size=size)
    if target not in BESIDE_AN_IMAGE:
        return [{"target": leaf, **needed, "labels": labels}]
    images = (tv.Image(make_image(size, dtype)) for dtype in (torch.uint8, torch.float32))
    return [{"image": image, "target": leaf, **needed, "labels": labels} for image in images]


def _compared(transform: Transform, oracle: Any, samples: Sequence[Any], leaf: Any, seed: int) -> Outcome:
    for sample in samples:
        outcome = _compared_in(transform, oracle, sample, leaf, seed)
        if outcome != REFUSED:
            return outcome
    return REFUSED


def _compared_in(transform: Transform, oracle: Any, sample: Any, leaf: Any, seed: int) -> Outcome:
    expected = _run(oracle, sample, seed)
    own = [_run(transform, sample, seed)]
    acts = kind_of(leaf) in transform.acts_on
    if isinstance(expected, Exception):
        return REFUSED if isinstance(own[0], Exception) else DIFFERS
    pictured = isinstance(expected["target"], PIL.Image.Image)  # in a pipeline images stay tensors
    if isinstance(leaf, Tensor) and acts and not pictured and not is_batched(transform):
        own.append(_run(lambda one: Pipeline([transform])([as_ours(one)], [seed])[0], sample, seed))
    if any(isinstance(one, Exception) for one in own):
        return DIFFERS
    differences = [_difference(one["target"], expected["target"]) for one in own]
    if DIFFERS in differences:
        return DIFFERS
    passed = not acts and _difference(expected["target"], leaf) == EXACT
    return SAME if passed else max(differences)  # type: ignore[type-var]


def _run(work: Callable[[Any], Any], sample: Any, seed: int) -> Any:
    torch.manual_seed(seed)
    try:
        return work(sample)
    except Exception as error:  # noqa: BLE001  # whatever it is, the outcome is "refused"
        return error


def _difference(actual: Any, expected: Any) -> Outcome:
    if isinstance(expected, tuple) and isinstance(actual, Tensor):  # a pipeline stacks crops
        expected, actual = torch.stack([one.as_subclass(Tensor) for one in expected], -4), actual.as_subclass(Tensor)
    if isinstance(expected, tuple | list):
        outcomes = [_difference(*pair) for pair in zip(actual, expected, strict=True)]
        return DIFFERS if DIFFERS in outcomes else max(outcomes)  # type: ignore[type-var]
    if not isinstance(expected, Tensor):
        if type(actual) is not type(expected) or actual.tobytes() != expected.tobytes():
            return DIFFERS
        return EXACT
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        return DIFFERS
    if _metadata(actual) != _metadata(expected):
        return DIFFERS
    one, other = (tensor.as_subclass(Tensor).double() for tensor in (actual, expected))
    return float((one - other).abs().nan_to_num().max()) if one.numel() else EXACT


def _metadata(leaf: Tensor) -> list[str]:
    names = ("format", "canvas_size", "clamping_mode")
    return [str(getattr(getattr(leaf, name, None), "name", getattr(leaf, name, None))) for name in names]


def _word(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return outcome
    return "exact" if outcome == EXACT else f"±{outcome:.0e}" if outcome < 0.1 else f"±{outcome:g}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure parity with torchvision and write docs/parity.md.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where the page is not what is measured"
    )
    check = parser.parse_args(arguments).check
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with codec():
            text = page()
    name, is_stale = PAGE.relative_to(ROOT), text != PAGE.read_text()
    if is_stale:
        print(f"{name} is not what is measured: run 'make docs'" if check else f"wrote {name}")
    if not check:
        PAGE.write_text(text)
    return int(check and is_stale)


if __name__ == "__main__":
    sys.exit(main())
