"""LinearTransformation against torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from targets import assert_eager_target_parity, assert_target_parity, make_boxes, make_picture_structure

from augserve_pipelines import Pipeline
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.transforms import Grayscale, Resize
from augserve_pipelines.transforms.linear import LinearTransformation
from oracle import tv_tensors, v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, make_images

SIZE = (6, 7)
VALUES = 3 * 6 * 7


def make_map(values: int = VALUES, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(values)
    matrix = torch.randn(values, values, generator=generator, dtype=dtype)
    return matrix, torch.rand(values, generator=generator, dtype=dtype)


@pytest.mark.parametrize("of", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.int16])
def test_it_matches(dtype, of):
    images = [image.to(dtype) for image in make_images(torch.uint8, sizes=[SIZE] * 2)]
    assert_parity(LinearTransformation(*make_map(dtype=of)), v2.LinearTransformation(*make_map(dtype=of)), images)


def test_leading_dimensions_are_taken_together():
    batch = torch.stack(make_images(torch.float32, sizes=[SIZE] * 2)).unflatten(0, (2, 3))
    assert_eager_parity(LinearTransformation(*make_map()), v2.LinearTransformation(*make_map()), batch)


def test_every_kind_of_input_matches():
    image = make_images(sizes=[SIZE])[0]
    structures: list[Any] = [
        {"image": tv_tensors.Image(image), "boxes": make_boxes(SIZE), "mask": tv_tensors.Mask(image[0])},
        {"video": tv_tensors.Video(torch.stack([image, image.flip(-1)])), "label": 3},
        (image, torch.arange(4)),
    ]
    assert_target_parity(LinearTransformation(*make_map()), v2.LinearTransformation(*make_map()), structures, SEEDS[:2])


def test_pictures_and_other_sizes_are_refused_as_there():
    ours, theirs = LinearTransformation(*make_map()), v2.LinearTransformation(*make_map())
    assert isinstance(assert_eager_target_parity(ours, theirs, make_picture_structure(SIZE)), TypeError)
    assert_parity(ours, theirs, [torch.zeros(3, 6, 8)], SEEDS[:1])
    message = "LinearTransformation takes images of 126 values; this one has 3 x 6 x 8"
    with pytest.raises(InvalidInput, match=message):
        Pipeline([ours])([torch.zeros(3, 6, 8)], [0])


def test_lists_and_arrays_are_taken(tmp_path: Path):
    matrix, vector = [[0.0, 2.0], [1.0, 0.5]], [1, 2]
    image = torch.tensor([3.0, 5.0]).view(1, 1, 2)
    expected = v2.LinearTransformation(torch.tensor(matrix), torch.tensor([1.0, 2.0]))(image)
    assert torch.equal(LinearTransformation(matrix, vector)(image), expected)
    assert torch.equal(LinearTransformation(np.array(matrix, np.float32), np.float32(vector))(image), expected)
    file = tmp_path / "whiten.yaml"
    steps = [Grayscale(), Resize((1, 2)), LinearTransformation(matrix, vector)]
    file.write_text(Pipeline(steps).to_yaml())
    assert torch.equal(Pipeline.load(file)([image], [0])[0], expected)


@pytest.mark.parametrize(
    ("matrix", "vector", "message"),
    [
        ([[1, 2]], [1], "transformation_matrix has 1 rows and 2 columns; a square one is needed"),
        ([[1, 2], [3, 4]], [1], "mean_vector has 1 numbers for a matrix of 2 rows"),
        ([[1, 2], [3]], [1, 2], "is not a list of lists of numbers, all of one length"),
        ([1, 2], [1, 2], "is not a list of lists of numbers, all of one length"),
        ([["a"]], [1], "is not a list of lists of numbers"),
        ([[1]], [[1]], "is not a list of numbers"),
        ([[float("nan")]], [1], "not all of the numbers are finite"),
        (torch.eye(2), torch.zeros(2, dtype=torch.float64), "differ in dtype: torch.float32, torch.float64"),
    ],
)
def test_what_is_no_such_map_is_refused(matrix, vector, message):
    with pytest.raises(ValueError, match=message):
        LinearTransformation(matrix, vector)
