"""Random chains of transforms over random structures against torchvision: eagerly, in batches, replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parity import channels_last
from targets import FORMATS, as_ours, assert_eager_target_parity, assert_same_structure, make_boxes

from augserve_pipelines import Pipeline
from augserve_pipelines.definition import loads
from augserve_pipelines.records import Record
from augserve_pipelines.transforms import Compose
from factories import make_noise
from oracle import tv_tensors, v2

SIDES = st.integers(6, 30)
ODDS = st.sampled_from([0.0, 0.5, 1.0])
MODES = st.sampled_from([v2.InterpolationMode.NEAREST, v2.InterpolationMode.BILINEAR])
FILLS = st.sampled_from([0, 7, [1, 2, 3], {tv_tensors.Mask: 3, "others": 9}])
PADDING = st.sampled_from([2, [1, 3], [0, 1, 2, 3]])

STEPS = st.one_of(
    st.builds(v2.RandomHorizontalFlip, ODDS),
    st.builds(v2.RandomVerticalFlip, ODDS),
    st.builds(v2.RandomRotation, st.sampled_from([30, (90, 90)]), MODES, st.booleans(), fill=FILLS),
    st.builds(v2.RandomAffine, st.just(20), st.just((0.1, 0.2)), shear=st.just(10), interpolation=MODES, fill=FILLS),
    st.builds(v2.RandomPerspective, p=ODDS, interpolation=MODES, fill=FILLS),
    st.builds(v2.RandomCrop, SIDES, PADDING, pad_if_needed=st.just(True), fill=FILLS),
    st.builds(v2.Resize, st.tuples(SIDES, SIDES), MODES),
    st.builds(v2.Resize, SIDES, MODES),
    st.builds(v2.RandomResizedCrop, st.tuples(SIDES, SIDES)),
    st.builds(v2.CenterCrop, SIDES),
    st.builds(v2.Pad, PADDING, FILLS),
    st.builds(v2.RandomZoomOut, FILLS, st.just((1.0, 2.0)), ODDS),
    st.builds(v2.ColorJitter, st.just(0.4), st.just(0.4), st.just(0.4), st.just(0.1)),
    st.builds(v2.RandomPhotometricDistort, p=ODDS),
    st.builds(v2.RandomGrayscale, ODDS),
    st.builds(v2.RandomSolarize, st.just(0.5), ODDS),
    st.builds(v2.RandomPosterize, st.integers(1, 7), ODDS),
    st.builds(v2.RandomEqualize, ODDS),
    st.builds(v2.RandomAdjustSharpness, st.just(2.0), ODDS),
    st.builds(v2.GaussianBlur, st.just((3, 5))),
    st.builds(v2.ConvertBoundingBoxFormat, st.sampled_from(["XYXY", "XYWH", "CXCYWH"])),
    st.builds(v2.SetClampingMode, st.sampled_from(["soft", "hard", None])),
    st.just(v2.ToDtype(torch.float32, scale=True)),
)


def _containers(steps: st.SearchStrategy[v2.Transform]) -> st.SearchStrategy[v2.Transform]:
    several = st.lists(steps, min_size=1, max_size=3)
    return st.one_of(
        st.builds(v2.RandomApply, several, ODDS),
        st.builds(v2.RandomChoice, several),
        st.builds(v2.RandomOrder, several),
        st.builds(v2.Compose, several),
    )


CHAINS = st.lists(st.recursive(STEPS, _containers, max_leaves=3), min_size=1, max_size=4)


@st.composite
def structures(draw: st.DrawFn) -> dict[str, Any]:
    """An image or two, masks, boxes of a format and key points; more or less of them."""
    size = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    image = make_noise(size, draw(st.sampled_from([torch.uint8, torch.float32])), seed=draw(st.integers(0, 9)))
    image = channels_last(image) if draw(st.booleans()) else image
    sample: dict[str, Any] = {"image": tv_tensors.Image(image), "labels": torch.arange(3), "name": "noise"}
    if draw(st.booleans()):
        sample["another"] = tv_tensors.Image(image.flip(-1))
    if draw(st.booleans()):
        sample["mask"] = tv_tensors.Mask(torch.arange(size[0] * size[1]).view(size))
    if draw(st.booleans()):
        format, count = draw(st.sampled_from(FORMATS)), draw(st.integers(0, 3))
        upright = not tv_tensors.is_rotated_bounding_format(format)
        clamping = draw(st.sampled_from(["soft", "hard", None])) if upright else "soft"
        sample["boxes"] = make_boxes(size, format, count=count, clamping_mode=clamping)
    if draw(st.booleans()):
        sample["points"] = tv_tensors.KeyPoints(torch.rand(2, 3, 2) * min(size), canvas_size=size)
    return sample


@pytest.mark.filterwarnings("ignore:.*")
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(chain=CHAINS, samples=st.lists(structures(), min_size=1, max_size=3), seed=st.integers(0, 2**40))
def test_chains_are_torchvisions(chain: Sequence[v2.Transform], samples: list[Any], seed: int) -> None:
    pipeline, oracle = Pipeline.from_torchvision(chain), v2.Compose(chain)
    eager = Compose(pipeline.transforms)
    expected = [assert_eager_target_parity(eager, oracle, one, seed + i) for i, one in enumerate(samples)]
    good = [i for i, one in enumerate(expected) if not isinstance(one, Exception)]
    inputs = [as_ours(samples[i]) for i in good]
    results = pipeline(inputs, [seed + i for i in good], records=True)
    for place, i in enumerate(good):
        assert_same_structure(results[place], as_ours(expected[i]), "in a pipeline")
        record = Record.from_json(json.loads(json.dumps(results.records[place].to_json())))
        assert_same_structure(record.replay(inputs[place]), results[place], "replayed")
    again = loads(pipeline.to_yaml(), "again")
    reread = Pipeline(again.transforms)
    assert reread.fingerprint == pipeline.fingerprint
    backwards = reread(inputs[::-1], [seed + i for i in good[::-1]], chunk=1)
    for one, other in zip(backwards, [*results][::-1], strict=True):
        assert_same_structure(one, other, "backwards, from YAML")
