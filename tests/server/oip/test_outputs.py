"""Results become tensors without a copy where they can, and never show memory that was not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from augserve.wire import NPY
from augserve_pipelines import Pipeline
from augserve_server.catalog import _served
from augserve_server.errors import ImageCorrupt, OutputTooLarge
from augserve_server.oip.metadata import config_document
from augserve_server.oip.options import OnError
from augserve_server.oip.outputs import Outcome, Packing
from augserve_server.orders import Order
from augserve_server.results import Form
from augserve_server.settings import Settings
from tritons import write_pipelines

NAMES = ["PIXELS", "SHAPES"]
SHIPPED = Path(__file__).parents[3] / "configs/pipelines"


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    folder: Path = write_pipelines(tmp_path_factory.mktemp("pipelines"))
    served = _served("ragged", Pipeline.load(folder / "ragged.yaml"), 1)
    return Order(served, 1, 1, Form(NPY, 90))


def shipped(name: str) -> tuple[dict[str, bool], set[str]]:
    """The inputs of a pipeline that ships, and whether each may be left out; and its outputs."""
    served = _served(name, Pipeline.load(SHIPPED / f"{name}.yaml"), 1)
    config = config_document(served, Settings())
    return {one["name"]: one["optional"] for one in config["input"]}, {one["name"] for one in config["output"]}


def test_a_pipeline_for_videos_takes_no_images() -> None:
    inputs, outputs = shipped("video")
    assert {"CLIP", "FRAMES"} <= inputs.keys()
    assert inputs.keys().isdisjoint({"IMAGE", "IMAGE_RAW"})
    assert "CLIP" in outputs
    assert "PIXELS" not in outputs


def test_targets_that_a_pipeline_needs_are_not_optional() -> None:
    inputs, _ = shipped("detection")
    assert [name for name, optional in inputs.items() if not optional] == ["BOXES", "LABELS"]


def packing(order: Order, on_error: OnError = OnError.FILL, limit: int = 1 << 20) -> Packing:
    return Packing(order, on_error, is_clip=False, limit=limit)


def batch(count: int = 4) -> torch.Tensor:
    return torch.arange(count * 3 * 5 * 6, dtype=torch.float32).reshape(count, 3, 5, 6)


def test_results_that_lie_together_are_sent_from_where_they_are(order: Order) -> None:
    block = batch()
    outcomes = [*block.unbind()]
    assert packing(order).is_cheap(outcomes, NAMES)
    pixels, _ = packing(order).pack(outcomes, NAMES)
    sent = np.frombuffer(pixels.buffers[0], np.float32)
    assert sent.ctypes.data == block.data_ptr()
    assert pixels.nbytes == block.nbytes


def test_results_that_lie_apart_are_counted_before_they_are_copied(order: Order) -> None:
    outcomes: list[Outcome] = [batch(1)[0].clone() for _ in range(3)]
    assert packing(order).copied_bytes(outcomes, NAMES) == 3 * 3 * 5 * 6 * 4
    assert packing(order).copied_bytes(outcomes, ["STATUS"]) == 0
    assert not packing(order).is_cheap(outcomes, NAMES)


def test_what_filling_up_would_make_too_large_is_refused(order: Order) -> None:
    outcomes: list[Outcome] = [torch.zeros(3, 1, 200, dtype=torch.uint8), torch.zeros(3, 200, 1, dtype=torch.uint8)]
    assert packing(order).copied_bytes(outcomes, NAMES) == 2 * 3 * 200 * 200
    with pytest.raises(OutputTooLarge, match="240000 bytes; at most 239999 are allowed"):
        packing(order, limit=239_999).copied_bytes(outcomes, NAMES)


@pytest.mark.parametrize("on_error", [OnError.SKIP, OnError.FILL])
def test_no_old_memory_is_shown_where_there_is_no_result(order: Order, on_error: OnError) -> None:
    used = [torch.full((4, 3, 64, 64), 7, dtype=torch.uint8) for _ in range(8)]
    del used  # what is allocated next may lie there
    small = torch.full((3, 8, 8), 1, dtype=torch.uint8)
    large = torch.full((3, 64, 64), 2, dtype=torch.uint8)
    outcomes: list[Outcome] = [small, ImageCorrupt("JPEG"), large]
    pixels, shapes = packing(order, on_error).pack(outcomes, NAMES)
    values = np.frombuffer(b"".join(pixels.buffers), np.uint8).reshape(pixels.shape)
    rows = 3 if on_error is OnError.FILL else 2
    assert values.shape == (rows, 3, 64, 64)
    assert values.sum() == small.sum() + large.sum()
    assert np.frombuffer(b"".join(shapes.buffers), "<i4").reshape(rows, 3)[-1].tolist() == [3, 64, 64]
