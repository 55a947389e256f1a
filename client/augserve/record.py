"""Records: what was done to a sample, and the way back from its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from augserve.errors import InvalidInput, NotInvertible
from augserve.wire import RECORD_VERSION

Matrix = npt.NDArray[np.float64]

SINGULAR = 1e-12
"""Determinants below are taken for 0."""

_Row = tuple[float, float, float]


class Operation(BaseModel):
    """One operation that was applied: a functional of torchvision's, and the arguments that were drawn for it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    kinds: tuple[str, ...] | None = None
    """What it was applied to, where that is not all that it acts on."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    version: Literal[1]
    seed: NonNegativeInt | None = None
    input_size: tuple[NonNegativeInt, NonNegativeInt]
    output_size: tuple[NonNegativeInt, NonNegativeInt]
    matrix: tuple[_Row, _Row, _Row] | None = None
    keypoints_matrix: tuple[_Row, _Row, _Row] | None = None
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What was done to one sample. ``client.replay`` does it again, to the same or to other pixels and targets.

    Two records are equal where their JSON is.
    """

    seed: int | None = field(compare=False)
    """The seed that the sample was drawn with; None where it was drawn without, by the engine in another process."""
    input_size: tuple[int, int] = field(compare=False)
    """Height and width before."""
    output_size: tuple[int, int] = field(compare=False)
    """Height and width after."""
    operations: tuple[Operation, ...] = field(compare=False)
    """What was applied, in order."""
    matrix: Matrix | None = field(compare=False)
    """[3, 3], from the input's pixel coordinates to the output's (a pixel is 1 wide, the corner of the first is 0, 0);
    None where the way is no projection: elastic transforms, and crops that are several images."""
    keypoints_matrix: Matrix | None = field(compare=False)
    """The same for keypoints, where they go another way: torchvision flips points to W - 1 - x, and boxes to W - x."""
    _text: str = field(repr=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """A record from the JSON that :meth:`to_json` gave, or the service.

        Raises:
            InvalidInput: It is no record, or one of another version.
        """
        try:
            document = _Document.model_validate_json(text)
        except ValidationError as exc:
            problem = exc.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            what = f"no record of version {RECORD_VERSION}"
            raise InvalidInput(f"{what}: {place + ': ' if place else ''}{problem['msg']}") from exc
        return cls(
            seed=document.seed,
            input_size=document.input_size,
            output_size=document.output_size,
            operations=document.operations,
            matrix=_matrix(document.matrix),
            keypoints_matrix=_matrix(document.keypoints_matrix),
            _text=text if isinstance(text, str) else text.decode(),
        )

    def to_json(self) -> str:
        """The record as the service wrote it, to be kept."""
        return self._text

    def invert_points(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where points [..., 2] (x, y) of the output lie in the input, as keypoints go.

        Raises:
            NotInvertible: There is no way back by a matrix.
            InvalidInput: They are no points.
        """
        return _project(self._inverse(self.keypoints_matrix), _coordinates("points", points, 2))

    def invert_boxes(self, boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The upright boxes [..., 4] (XYXY) of the input around what boxes of the output cover there.

        Raises:
            NotInvertible: There is no way back by a matrix.
            InvalidInput: They are no boxes.
        """
        corners = _coordinates("boxes", boxes, 4)[..., [[0, 1], [2, 1], [2, 3], [0, 3]]]  # [..., 4, 2]
        corners = _project(self._inverse(self.matrix), corners)
        return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)

    def _inverse(self, matrix: Matrix | None) -> Matrix:
        matrix = self.matrix if matrix is None else matrix
        if matrix is None:
            applied = ", ".join(operation.name for operation in self.operations)
            raise NotInvertible(f"the record has no matrix: of {applied}, not all are projections")
        if abs(np.linalg.det(matrix)) < SINGULAR:
            raise NotInvertible("the record's matrix has no inverse: what it did makes an area a line or a point")
        inverse: Matrix = np.linalg.inv(matrix).astype(np.float64)
        return inverse


def _matrix(rows: tuple[_Row, _Row, _Row] | None) -> Matrix | None:
    if rows is None:
        return None
    matrix = np.array(rows, np.float64)
    matrix.setflags(write=False)
    return matrix


def _coordinates(name: str, values: npt.ArrayLike, columns: int) -> npt.NDArray[np.float64]:
    coordinates = np.asarray(values, np.float64)
    if coordinates.shape == (0,):  # an empty list has no columns
        return coordinates.reshape(0, columns)
    if coordinates.ndim == 0 or coordinates.shape[-1] != columns:
        raise InvalidInput(f"{name} are [..., {columns}], not {list(coordinates.shape)}")
    return coordinates


def _project(matrix: Matrix, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]  # [..., 3]
    with np.errstate(divide="ignore", invalid="ignore"):  # points on the horizon are infinitely far
        projected: npt.NDArray[np.float64] = homogeneous[..., :2] / homogeneous[..., 2:]
    return projected
