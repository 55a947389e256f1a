"""docs/parity.md is what is measured now, transform by transform."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from scripts.parity_page import PAGE, TARGETS, measure, row

from augserve_pipelines.registry import in_yaml, known_transforms
from oracle import v2
from torchvision_codec import can_load, codec

NAMES = sorted(known_transforms())


@pytest.mark.filterwarnings("ignore")  # torchvision's, of what is deprecated or passed through
@pytest.mark.parametrize("name", [name for name in NAMES if in_yaml(known_transforms()[name])])
def test_a_row_of_the_page_is_what_is_measured(name: str) -> None:
    if name == "JPEG" and not can_load():
        pytest.skip("torchvision's codec needs a torch with CUDA, or a C compiler to stand in for that")
    kind = known_transforms()[name]
    with codec() if name == "JPEG" else nullcontext():
        measured = {target: measure(kind, target) for target in TARGETS}
    assert row(name, measured) in PAGE.read_text().splitlines()


def test_every_transform_of_torchvision_is_there() -> None:
    theirs = {
        name for name in dir(v2) if isinstance(getattr(v2, name), type) and issubclass(getattr(v2, name), v2.Transform)
    }
    assert theirs - {"Transform"} == set(NAMES)


def test_at_least_55_classes_are_exact_for_images_of_bytes() -> None:
    column = 1 + list(TARGETS).index("image uint8")
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    exact = [cells[0] for cells in rows if cells[column] in ("exact", "passes")]
    assert len(exact) >= 55
