"""What a pipeline says that it runs on is what it runs on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
import torch

from augserve_pipelines import InvalidInput, Pipeline, tv_tensors
from augserve_pipelines import transforms as T
from augserve_pipelines.acceptance import accepted

SHIPPED = Path(__file__).parents[2] / "configs/pipelines"
NAMES = ("boxes", "masks", "keypoints", "labels")


def sample(video: bool) -> dict[str, torch.Tensor]:
    shape = (40, 3, 300, 400) if video else (3, 300, 400)
    pixels = torch.zeros(shape, dtype=torch.uint8)
    size = (300, 400)
    return {
        "image": tv_tensors.Video(pixels) if video else tv_tensors.Image(pixels),
        "boxes": tv_tensors.BoundingBoxes(torch.tensor([[50.0, 60, 250, 200]]), format="XYXY", canvas_size=size),
        "masks": tv_tensors.Mask(torch.zeros(300, 400, dtype=torch.uint8)),
        "keypoints": tv_tensors.KeyPoints(torch.tensor([[70.0, 80]]), canvas_size=size),
        "labels": torch.zeros(1, dtype=torch.int64),
    }


def runs(pipeline: Pipeline, given: dict[str, torch.Tensor]) -> bool:
    try:
        pipeline.per_sample([given], [1])
    except InvalidInput:
        return False
    return True


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*.yaml"))])
def test_what_a_pipeline_accepts_is_what_it_runs_on(name: str) -> None:
    pipeline = Pipeline.load(SHIPPED / f"{name}.yaml")
    found = accepted(pipeline)
    images, videos = ({**sample(video)} for video in (False, True))

    def runs_with(names: Collection[str], whole: dict[str, torch.Tensor]) -> bool:
        return runs(pipeline, {name: part for name, part in whole.items() if name in ("image", *names)})

    if name != "video":  # whose one step for videos leaves alone what is none, where that is in a structure
        assert runs_with(found.needs, images) == found.images
    assert runs_with(found.needs, videos) == found.videos
    whole = images if found.images else videos
    for target in ("labels",) if pipeline.batched else NAMES:
        assert runs_with(found.needs | {target}, whole) == (target in found.targets), target
    for target in found.needs:
        assert not runs_with(found.targets - {target}, whole), target


def test_key_points_are_needed_where_a_step_needs_them() -> None:
    assert accepted(Pipeline([T.SanitizeKeyPoints()])).needs == {"keypoints"}
    assert accepted(Pipeline([T.RandomHorizontalFlip()])).needs == frozenset()


def test_what_a_step_refuses_is_no_target_of_the_pipeline() -> None:
    assert accepted(Pipeline([T.RandAugment()])).targets == {"labels"}
