"""Records: kept as they came, and the way back from results."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import augserve
from augserve import Record

IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def document(**changes: Any) -> dict[str, Any]:
    operation = {"name": "crop", "arguments": {"top": 1, "left": 2}}
    sizes = {"input_size": [480, 640], "output_size": [224, 200]}
    return {"version": 1, "seed": 7, **sizes, "matrix": IDENTITY, "operations": [operation], **changes}


def record(**changes: Any) -> Record:
    return Record.from_json(json.dumps(document(**changes)))


def mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    homogeneous = np.concatenate([points, np.ones_like(points[..., :1])], -1) @ matrix.T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def test_a_record_says_what_was_done() -> None:
    found = record()
    assert (found.seed, found.input_size, found.output_size) == (7, (480, 640), (224, 200))
    assert [(one.name, one.arguments, one.kinds) for one in found.operations] == [("crop", {"top": 1, "left": 2}, None)]
    assert np.array_equal(found.matrix, np.eye(3))
    assert found.keypoints_matrix is None


def test_a_record_is_kept_to_the_letter() -> None:
    text = json.dumps(document(matrix=None, later={"x": [1e300, 0.1]}), indent=1)
    assert Record.from_json(text).to_json() == text
    assert Record.from_json(text.encode()).to_json() == text


def test_records_are_values() -> None:
    assert record() == record()
    assert record() != record(seed=8)
    assert len({record(), record(), record(seed=8)}) == 2
    assert pickle.loads(pickle.dumps(record())) == record()
    assert record(seed=None).seed is None


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        record().seed = 8
    with pytest.raises(ValueError, match="read-only"):
        record().matrix[0, 0] = 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON"),
        ("[]", "no record of version 1"),
        ("{}", "version: Field required"),
        (json.dumps(document(version=2)), "version: Input should be 1"),
        (json.dumps(document(seed=-1)), "seed"),
        (json.dumps(document(input_size=[1])), r"input_size\.1"),
        (json.dumps(document(matrix=[[1, 0, 0]])), r"matrix\.1"),
        (json.dumps(document(operations=[{"arguments": {}}])), r"operations\.0\.name"),
    ],
)
def test_what_is_no_record_is_refused(text: str, message: str) -> None:
    with pytest.raises(augserve.InvalidInput, match=message):
        Record.from_json(text)


# Turned, scaled, sheared and moved, with a little perspective: nothing degenerate.
matrices = st.tuples(
    st.floats(0, 6.3), st.floats(0.2, 3), st.floats(-0.4, 0.4), st.floats(-300, 300), st.floats(-2e-4, 2e-4)
).map(
    lambda drawn: (
        np.array([[1, 0, drawn[3]], [0, 1, -drawn[3]], [drawn[4], drawn[4] / 2, 1]])
        @ np.array([[np.cos(drawn[0]), -np.sin(drawn[0]), 0], [np.sin(drawn[0]), np.cos(drawn[0]), 0], [0, 0, 1]])
        @ np.array([[drawn[1], drawn[2], 0], [0, drawn[1], 0], [0, 0, 1]])
    )
)


@given(matrix=matrices, seed=st.integers(0, 99))
def test_points_come_back_where_they_were(matrix: np.ndarray, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 640, (4, 3, 2))
    back = record(matrix=matrix.tolist()).invert_points(mapped(matrix, points))
    assert np.abs(back - points).max() < 1e-3


@given(matrix=matrices, seed=st.integers(0, 99))
def test_boxes_come_back_as_boxes_that_hold_them(matrix: np.ndarray, seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(0, 300, (5, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], -1)
    back = record(matrix=matrix.tolist()).invert_boxes(boxes)
    inverse = np.linalg.inv(matrix)
    for box, (x1, y1, x2, y2) in zip(back, boxes, strict=True):
        held = mapped(inverse, np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]))
        assert np.allclose(box, [*held.min(0), *held.max(0)], rtol=1e-9, atol=1e-6)


def test_points_go_by_their_own_matrix_and_boxes_by_that_of_pixels() -> None:
    width = 640
    mirror = [[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    mirror_of_indices = [[-1.0, 0.0, width - 1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    found = record(matrix=mirror, keypoints_matrix=mirror_of_indices)
    assert found.invert_points([[0.0, 5.0]]).tolist() == [[639.0, 5.0]]
    assert found.invert_boxes([[0.0, 5.0, 10.0, 7.0]]).tolist() == [[630.0, 5.0, 640.0, 7.0]]


@pytest.mark.parametrize("as_given", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_arrays_tensors_and_lists_are_taken(as_given: Any) -> None:
    found = record(matrix=[[1, 0, 2], [0, 1, 3], [0, 0, 1]])
    assert found.invert_points(as_given(np.array([2.0, 3.0], np.float32))).tolist() == [0.0, 0.0]
    assert found.invert_boxes(as_given(np.zeros((0, 4), np.float32))).shape == (0, 4)


@pytest.mark.parametrize("method", ["invert_points", "invert_boxes"])
def test_without_a_matrix_there_is_no_way_back(method: str) -> None:
    values = [[1.0, 2.0]] if method == "invert_points" else [[1.0, 2.0, 3.0, 4.0]]
    with pytest.raises(augserve.NotInvertible, match="has no matrix: of crop, not all are projections"):
        getattr(record(matrix=None), method)(values)
    with pytest.raises(augserve.NotInvertible, match="has no inverse"):
        getattr(record(matrix=[[1, 1, 0], [1, 1, 0], [0, 0, 1]]), method)(values)


def test_what_are_no_points_or_boxes_is_refused() -> None:
    with pytest.raises(augserve.InvalidInput, match=r"points are \[\.\.\., 2\], not \[3\]"):
        record().invert_points([1, 2, 3])
    with pytest.raises(augserve.InvalidInput, match=r"boxes are \[\.\.\., 4\], not \[2, 2\]"):
        record().invert_boxes([[1, 2], [3, 4]])


def test_a_point_on_the_horizon_is_infinitely_far() -> None:
    found = record(matrix=[[1, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    assert not np.isfinite(found.invert_points([100.0, 5.0])).all()
