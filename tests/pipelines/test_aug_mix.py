"""AugMix against torchvision."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augserve_pipelines import InvalidInput, InvalidParameters, Pipeline, transforms
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.records import Record
from augserve_pipelines.transforms.aug_mix import _blend, mix_chains
from factories import make_image, make_picture
from oracle import tv_tensors as theirs
from oracle import v2
from pipelines.parity import assert_parity, assert_same, make_images
from pipelines.targets import assert_target_parity, make_video_structure

SIZE = (33, 47)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_images(dtype: torch.dtype) -> None:
    images = [image.to(dtype) if dtype.is_floating_point else image for image in make_images(sizes=[SIZE, (64, 64)])]
    images = [image / 255 if dtype.is_floating_point else image for image in images]
    assert_parity(transforms.AugMix(), v2.AugMix(), images, range(12))


@settings(max_examples=25)
@given(
    severity=st.integers(1, 10),
    width=st.integers(1, 4),
    depth=st.integers(-1, 3),
    alpha=st.floats(0.2, 4.0),
    all_ops=st.booleans(),
    interpolation=st.sampled_from(["nearest", "bilinear"]),
    fill=st.sampled_from([None, 0, 127.5, (1.0, 20.0, 200.0)]),
    seed=st.integers(0, 2**32),
)
def test_any_parameters(
    severity: int,
    width: int,
    depth: int,
    alpha: float,
    all_ops: bool,
    interpolation: str,
    fill: Any,
    seed: int,
) -> None:
    arguments = (severity, width, depth, alpha, all_ops, interpolation, fill)
    images = make_images(sizes=[SIZE])
    assert_parity(transforms.AugMix(*arguments), v2.AugMix(*arguments), images, [seed, seed + 1])


def test_one_image_of_any_kind() -> None:
    video = make_video_structure(SIZE)["video"]
    structures = [
        {"image": theirs.Image(make_image(SIZE)), "label": 3},
        (make_image(SIZE), torch.ones(3)),
        {"video": video, "name": "a clip"},
        {"videos": theirs.Video(torch.stack([video.as_subclass(torch.Tensor)] * 2))},
        {"picture": make_picture(size=SIZE), "labels": torch.ones(3)},
        make_picture(size=SIZE, mode="L"),
        make_image(SIZE, channels=1),
        torch.stack([make_image(SIZE, name=name) for name in ("china", "flower")]),  # weights for each of them
        theirs.Image(make_image(SIZE).expand(3, *make_image(SIZE).shape)),
    ]
    for interpolation in ("bilinear", "bicubic"):  # which tensors do not take, and PIL images are tensors here
        ours, oracle = (kind.AugMix(interpolation=interpolation) for kind in (transforms, v2))
        assert_target_parity(ours, oracle, structures, range(6))


def test_a_fill_of_tensors_is_for_all_kinds() -> None:
    fill = {theirs.Image: 200, torch.Tensor: 9, "others": 77}
    structures = [{"image": theirs.Image(make_image(SIZE))}, make_picture(size=SIZE), make_image(SIZE)]
    ours, oracle = (kind.AugMix(fill=dict(fill)) for kind in (transforms, v2))
    assert_target_parity(ours, oracle, structures, range(8))


def test_a_record_replays_the_blend() -> None:
    images = [make_image(SIZE) for _ in range(6)]
    results = Pipeline([transforms.AugMix(fill=3)])(images, range(6), records=True)
    for image, result, record in zip(images, results, results.records, strict=True):
        written = json.loads(json.dumps(record.to_json()))
        assert_same(Record.from_json(written).replay(image), result, "replayed")


def test_all_samples_together_are_those_one_by_one() -> None:
    x = torch.stack([make_image(SIZE, name=name) for name in ("china", "flower", "chelsea")])
    op = transforms.AugMix(chain_depth=2).draw(Lanes(range(3)), Frames.of([*x]))
    weights = torch.stack(op.weights.tolist())
    assert_same(_blend(x, weights, [chain.image(x) for chain in op.chains]), op.image(x), "as on a GPU")


def test_a_record_names_nothing_but_its_operations() -> None:
    image = make_image(SIZE)
    with pytest.raises(InvalidInput, match="'resize' is no operation of AugMix; allowed: adjust_brightness"):
        mix_chains(image, [[0.5, 0.5]], [[["resize", [["size", [10_000]]]]]])
    with pytest.raises(InvalidInput, match="chains have at most 1000 operations, these have 1001"):
        mix_chains(image, [[0.5, 0.5]], [[["equalize", []]] * 1001])


def test_a_record_of_other_weights_or_arguments_is_refused() -> None:
    image = make_image(SIZE)
    with pytest.raises(InvalidInput, match=r"2 rows of weights for an image of shape \[3, 33, 47\]"):
        mix_chains(image, [[1.0], [1.0]], [])
    for weights, chains in (([[1.0]], [[]]), ([[0.5, 0.5]], [[["affine", [["angle", "5"]]]]]), ([[0.5, 0.5]], [[3]])):
        with pytest.raises((TypeError, ValueError)):
            mix_chains(image, weights, chains)


def test_parameters() -> None:
    for arguments in ({"severity": 11}, {"severity": 0}, {"mixture_width": 0}, {"alpha": 0.0}):
        with pytest.raises(InvalidParameters, match=next(iter(arguments))):
            transforms.AugMix(**arguments)
