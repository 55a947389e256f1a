"""What was done to one sample: the calls with what was drawn for them, to read, to replay and to invert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines import record_values
from augserve_pipelines.dispatch import ALL_KINDS, FUNCTIONALS, KINDS, Call, Deferred, Functional
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.samples import Sample
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints

__all__ = ["Record", "Step"]

VERSION = 1
MOST_OPERATIONS = 200
NUMBERS_PER_PIXEL = 4  # of what a call is given: noise for each channel
WIDEST = 4  # how many times the pixels of the largest result a call may make before it gives its own
RESIZES = ("resize", "pillow_resize", "resized_crop", "pillow_resized_crop")
NAMES: Mapping[type, str] = {kind: name for name, kind in KINDS.items()}

Matrix = NDArray[np.float64]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Step:
    """A call, and (height, width) before and after it, of every kind of input that has others."""

    call: Call
    sizes: frozenset[tuple[Size, Size]]

    @property
    def before(self) -> int:
        """The most pixels of an input."""
        return max(height * width for (height, width), _ in self.sizes)

    @property
    def after(self) -> int:
        """The most pixels of a result."""
        return max(height * width for _, (height, width) in self.sizes)

    @property
    def between(self) -> int:
        """The most pixels in between: resizing cuts its window out, and then goes one side after the other."""
        if self.call.functional.name not in RESIZES:
            return 0
        return max(_pixels_between(self.call, size, after) for size, after in self.sizes)


@dataclass(frozen=True, slots=True)
class Record:
    """The calls of functionals that one sample went through.

    ``matrix`` takes points of the input, (x, y, 1) in continuous pixels from the upper left corner, as the coordinates
    of boxes are, to points of the output. Key points count pixels from the middle of the first: ``keypoints_matrix`` is
    theirs, which differs where a sample was mirrored. Both are None where no matrix says where pixels went: elastic
    maps, five crops.
    """

    seed: int | None
    input_size: Size
    output_size: Size
    calls: tuple[Call, ...]
    matrix: Matrix | None  # [3, 3]
    keypoints_matrix: Matrix | None  # [3, 3]

    @classmethod
    def of(cls, calls: Iterable[Call], input_size: Size, seed: int | None = None) -> Record:
        """The record of calls on a sample of this (height, width).

        Raises:
            InvalidInput: the calls cannot follow one another.
        """
        done = tuple(calls)
        matrix: Matrix | None = np.eye(3)
        points: Matrix | None = np.eye(3)
        size = canvas = input_size
        for call in (one for one in done if _acts_on(one, Tensor)):  # calls that differ by kind go to the same places
            step, points_step, size, canvas = _geometry(call, size, canvas)
            matrix, points = _product(step, matrix), _product(points_step, points)
        return cls(seed, input_size, size, done, matrix, points)

    def replay(self, value: Any) -> Any:
        """Do the same to another image, mask, boxes, or a structure of these, of the same size.

        Raises:
            InvalidInput: the calls cannot act on it.
        """
        sample = Sample.of(value)
        for call in self.calls:
            try:
                sample = sample.mapped(call)
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"{call.functional.name} cannot be replayed: {error}") from error
            except (ArithmeticError, LookupError, RuntimeError) as error:  # whose words are not ours
                raise InvalidInput(f"{call.functional.name} cannot be replayed with these arguments") from error
        return sample.value()

    def steps(self) -> Iterator[Step]:
        """The calls with the sizes before and after them.

        Raises:
            InvalidInput: the calls cannot follow one another.
        """
        sizes = dict.fromkeys(ALL_KINDS, self.input_size)  # calls for some kinds only change the sizes of these
        for call in self.calls:
            after = {size: _geometry(call, size, size)[2] for size in _sizes_of(call, sizes)}
            changed = {kind: after[size] if _acts_on(call, kind) else size for kind, size in sizes.items()}
            yield Step(call, frozenset((size, changed[kind]) for kind, size in sizes.items()))
            sizes = changed

    def invert(self, leaf: Tensor) -> Tensor:
        """Where key points or boxes of the output are in the input.

        Args:
            leaf: KeyPoints, or BoundingBoxes of any format that is not rotated; the corners of boxes are mapped, and
                the result is what holds them.

        Raises:
            InvalidInput: no matrix says so, or it is of another kind.
        """
        if isinstance(leaf, KeyPoints):
            points = _mapped(self._inverse(self.keypoints_matrix), leaf.as_subclass(Tensor))
            return KeyPoints(points, canvas_size=self.input_size)
        if isinstance(leaf, BoundingBoxes):
            return self._invert_boxes(leaf)
        raise InvalidInput(f"key points and boxes can be mapped back, not {type(leaf).__name__}")

    def to_json(self) -> dict[str, Any]:
        """The record in plain values, as ``from_json`` reads it."""
        same = self.matrix is None or np.array_equal(self.matrix, self.keypoints_matrix)  # type: ignore[arg-type]
        return {
            "version": VERSION,
            "seed": self.seed,
            "input_size": list(self.input_size),
            "output_size": list(self.output_size),
            "matrix": None if self.matrix is None else self.matrix.tolist(),
            **({} if same or self.keypoints_matrix is None else {"keypoints_matrix": self.keypoints_matrix.tolist()}),
            "operations": [_written(call) for call in self.calls],
        }

    @classmethod
    def from_json(cls, document: Any, *, most_pixels: int | None = None) -> Record:
        """The record of plain values, whoever wrote them: sizes and matrices are computed from the operations.

        Args:
            document: what ``to_json`` gave.
            most_pixels: the most that any step of it may give.

        Raises:
            InvalidInput: it is no record; the message says where, and what is allowed.
        """
        content = record_values.checked(document, VERSION)
        if len(content["operations"]) > MOST_OPERATIONS:
            raise InvalidInput(f"a record has at most {MOST_OPERATIONS} operations, this has more")
        calls = [_read(one, f"operations[{place}]") for place, one in enumerate(content["operations"])]
        height, width = content["input_size"]
        if most_pixels is not None:
            _check_sizes(cls(None, (height, width), (height, width), tuple(calls), None, None), most_pixels)
        return cls.of(calls, (height, width), content["seed"])

    def _invert_boxes(self, boxes: BoundingBoxes) -> Tensor:
        from augserve_pipelines.kernels.boxes import convert_bounding_box_format

        corners = convert_bounding_box_format(boxes, new_format="XYXY").as_subclass(Tensor)
        x1, y1, x2, y2 = corners.double().unbind(-1)
        points = torch.stack([torch.stack(pair, -1) for pair in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], -2)
        moved = _mapped(self._inverse(self.matrix), points)  # [N, 4, 2]
        hull = torch.cat([moved.amin(-2), moved.amax(-2)], -1)
        upright = BoundingBoxes(hull, format="XYXY", canvas_size=self.input_size, clamping_mode=boxes.clamping_mode)
        return convert_bounding_box_format(upright, new_format=boxes.format)

    def _inverse(self, matrix: Matrix | None) -> Matrix:
        if matrix is None:
            raise InvalidInput("the record has no matrix: elastic maps and five crops cannot be inverted")
        if abs(np.linalg.det(matrix)) < 1e-12:
            raise InvalidInput("the record's matrix has no inverse")
        return np.linalg.inv(matrix).astype(np.float64, copy=False)


def _geometry(call: Call, size: Size, canvas: Size) -> tuple[Matrix | None, Matrix | None, Size, Size]:
    """Where boxes and points go, and the new sizes: of images, and of the canvas of coordinates.

    The two may differ by a pixel where an image is rotated and expanded.
    """
    own = call.functional
    if own.geometry is None or own.index_geometry is None:
        return np.eye(3), np.eye(3), size, canvas
    try:
        _, after = own.geometry(*size, **call.arguments)
        matrix, _ = own.geometry(*canvas, **call.arguments)
        points, canvas = own.index_geometry(*canvas, **call.arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise InvalidInput(f"{own.name} cannot act on {size[0]} x {size[1]} pixels: {error}") from error
    return matrix, points, _whole(after), _whole(canvas)


def _whole(size: Size) -> Size:
    return int(size[0]), int(size[1])


def _product(step: Matrix | None, before: Matrix | None) -> Matrix | None:
    return None if step is None or before is None else step @ before


def _mapped(matrix: Matrix, points: Tensor) -> Tensor:
    """Points ``[..., 2]`` through a projective map, in float64."""
    own = torch.from_numpy(matrix)
    moved = points.double() @ own[:, :2].T + own[:, 2]
    return moved[..., :2] / moved[..., 2:]


def _sizes_of(call: Call, sizes: Mapping[type, Size]) -> set[Size]:
    return {size for kind, size in sizes.items() if _acts_on(call, kind)}


def _pixels_between(call: Call, size: Size, after: Size) -> int:
    height, width = (call.arguments.get(name, side) for name, side in zip(("height", "width"), size, strict=True))
    return int(max(height * width, height * after[1], after[0] * width))


def _check_sizes(record: Record, most_pixels: int) -> None:
    for step in record.steps():
        name = step.call.functional.name
        made = sum(one.count for one in step.call.arguments.values() if isinstance(one, Deferred))
        if made > NUMBERS_PER_PIXEL * most_pixels:
            raise InvalidInput(f"{name} is given {made} numbers; {NUMBERS_PER_PIXEL * most_pixels} are allowed")
        for _, size in step.sizes:
            _check_pixels(name, size, most_pixels)
        if step.between > WIDEST * most_pixels:
            raise InvalidInput(
                f"{name} makes {step.between} pixels on its way; at most {WIDEST * most_pixels} are allowed"
            )


def _check_pixels(name: str, size: Size, most_pixels: int) -> None:
    height, width = size
    if height < 1 or width < 1 or height * width > most_pixels:
        raise InvalidInput(f"{name} gives {height} x {width} pixels; 1 to {most_pixels} are allowed")


def _acts_on(call: Call, kind: type) -> bool:
    return call.kinds is None or kind in call.kinds


def _written(call: Call) -> dict[str, Any]:
    arguments = {name: record_values.written(value) for name, value in call.arguments.items()}
    kinds = {} if call.kinds is None else {"kinds": [NAMES[kind] for kind in call.kinds]}
    return {"name": call.functional.name, "arguments": arguments, **kinds}


def _read(document: Mapping[str, Any], place: str) -> Call:
    own = _functional(document["name"], place)
    arguments = record_values.arguments(own, document["arguments"], f"{place}.{own.name}")
    kinds = document.get("kinds")
    if kinds is None:
        return Call(own, arguments)
    unknown = [name for name in kinds if name not in KINDS]
    if unknown:
        raise InvalidInput(f"{place}.kinds: {unknown[0]!r} is no kind of input; allowed: {', '.join(KINDS)}")
    return Call(own, arguments, tuple(KINDS[name] for name in kinds))


def _functional(name: str, place: str) -> Functional:
    if name not in FUNCTIONALS:
        raise InvalidInput(f"{place}: no operation is named {name[:80]!r}")
    return FUNCTIONALS[name]
