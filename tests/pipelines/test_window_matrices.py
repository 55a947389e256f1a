"""The matrices of windows, sizes and flips take points where their kernels take them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from augserve_pipelines import transforms
from augserve_pipelines.dispatch import FUNCTIONALS
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.tv_tensors import BoundingBoxes, KeyPoints
from factories import make_image, make_noise

SIZE = (40, 61)
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("horizontal_flip", {}),
    ("vertical_flip", {}),
    ("crop", {"top": 3, "left": -4, "height": 50, "width": 7}),
    ("center_crop", {"output_size": [20, 80]}),
    ("resized_crop", {"top": 3, "left": 5, "height": 20, "width": 7, "size": [9, 30], "interpolation": "nearest"}),
    ("resized_crop", {"top": 3, "left": 5, "height": 20, "width": 7, "size": [9]}),
    ("pillow_resized_crop", {"top": 0, "left": 0, "height": 40, "width": 7, "size": 9, "antialias": True}),
    ("pad", {"padding": [1, 2, 3, 4], "fill": 7, "padding_mode": "constant"}),
    ("pad", {"padding": [-3]}),
    ("resize", {"size": [13, 90], "interpolation": "bicubic", "antialias": None}),
    ("resize", {"size": 20, "max_size": 25}),
    ("pillow_resize", {"size": None, "max_size": 30}),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=str)
def test_points_and_boxes_go_where_the_matrix_says(name: str, arguments: dict[str, Any]) -> None:
    own = FUNCTIONALS[name]
    assert own.geometry is not None
    assert own.index_geometry is not None
    corners = torch.rand(9, 4, dtype=torch.float64).sort(-1).values * 40
    boxes = own(BoundingBoxes(corners, format="XYXY", canvas_size=SIZE, clamping_mode=None), **arguments)
    matrix, size = own.geometry(*SIZE, **arguments)
    assert boxes.canvas_size == size
    expected = moved(matrix, corners.view(-1, 2, 2))
    expected = torch.cat([expected.amin(1), expected.amax(1)], 1)
    torch.testing.assert_close(boxes.as_subclass(Tensor), expected, rtol=1e-6, atol=1e-5)
    points = own(KeyPoints(corners.view(-1, 2), canvas_size=SIZE), **arguments)
    matrix, size = own.index_geometry(*SIZE, **arguments)
    assert points.canvas_size == size
    expected = moved(matrix, corners.view(-1, 2))
    torch.testing.assert_close(points.as_subclass(Tensor), expected, rtol=1e-6, atol=1e-5)


def test_a_record_of_all_of_them_maps_boxes_back() -> None:
    steps = [
        transforms.RandomZoomOut(p=1.0),
        transforms.RandomResizedCrop((50, 70), (0.5, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.Pad([5, 9]),
        transforms.RandomVerticalFlip(),
        transforms.ScaleJitter((80, 90), (0.8, 1.2)),
        transforms.CenterCrop((60, 60)),
    ]
    corners = torch.tensor([[10.0, 11.0, 30.0, 35.0]])
    sample = [make_image(SIZE), BoundingBoxes(corners, format="XYXY", canvas_size=SIZE, clamping_mode=None)]
    results = Pipeline(steps)([sample] * 4, range(4), records=True)
    for result, record in zip(results, results.records, strict=True):
        back = record.invert(result[1])
        torch.testing.assert_close(back.as_subclass(Tensor).float(), corners, rtol=0, atol=0.01)


def test_one_value_for_each_sample() -> None:
    images = torch.stack([make_noise((20, 30), seed=seed) for seed in range(3)])
    tops, lefts = torch.tensor([0, 5, 11]), torch.tensor([9, 0, -2])
    done = FUNCTIONALS["crop"](images, tops, lefts, 7, 8)
    for image, top, left, result in zip(images, tops.tolist(), lefts.tolist(), done, strict=True):
        assert torch.equal(result, FUNCTIONALS["crop"](image, top, left, 7, 8))
    resized = FUNCTIONALS["resized_crop"](images, tops, 1, torch.tensor([4, 9, 9]), 8, [6, 5])
    assert torch.equal(resized[1], FUNCTIONALS["resized_crop"](images[1], 5, 1, 9, 8, [6, 5]))


def moved(matrix: Any, points: Tensor) -> Tensor:
    own = torch.from_numpy(matrix)
    return points @ own[:2, :2].T + own[:2, 2]
