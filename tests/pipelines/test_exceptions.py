"""The table of docs/exceptions.md: each row's bound, and that each row's test is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from augserve_pipelines import Pipeline, transforms
from factories import make_image
from oracle import v2

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "exceptions.md"


@pytest.mark.parametrize(("dtype", "bound"), [(torch.uint8, 1), (torch.float32, 1e-6)])
def test_contrast_of_large_images_against_several_threads(dtype: torch.dtype, bound: float) -> None:
    image = make_image((900, 1400), dtype, name="retina")
    ours = Pipeline([transforms.ColorJitter(contrast=(0.2, 0.9))])([image], [3])[0]
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        torch.manual_seed(3)
        difference = float((v2.ColorJitter(contrast=(0.2, 0.9))(image).double() - ours.double()).abs().max())
        torch.set_num_threads(1)
        assert difference <= (0 if threads == 1 else bound)


def test_every_row_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE.read_text())
    assert len(named) >= 5
    for file, test in named:
        assert f"def {test}(" in (TESTS / file).read_text()
