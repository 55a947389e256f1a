"""AutoAugment, RandAugment and TrivialAugmentWide against torchvision: all policies, all magnitudes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augserve_pipelines import InvalidInput, InvalidParameters, Pipeline, transforms, tv_tensors
from augserve_pipelines.definition import loads
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Select
from augserve_pipelines.plan import flat
from augserve_pipelines.transforms.augmentation_space import MIXED, USUAL, WIDE
from augserve_pipelines.transforms.auto_augment_policies import AutoAugmentPolicy, policies
from factories import make_image, make_picture
from oracle import tv_tensors as theirs
from oracle import v2
from pipelines.parity import assert_parity, make_images
from pipelines.targets import assert_eager_target_parity, assert_target_parity, make_structure, make_video_structure

SEEDS = range(60)
SIZES = [(33, 47), (64, 64)]
POLICIES = [*AutoAugmentPolicy]


def theirs_of(policy: AutoAugmentPolicy) -> Any:
    return v2.AutoAugmentPolicy(policy.value)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policies_are_those_of_torchvision(policy: AutoAugmentPolicy) -> None:
    expected = v2.AutoAugment(theirs_of(policy))._policies
    found = [[(name, p, place) for name, p, place in pair] for pair in policies(policy)]
    assert found == [[(name, p, place or 0) for name, p, place in pair] for pair in expected]


@pytest.mark.parametrize(
    ("space", "oracle"),
    [(USUAL, v2.AutoAugment), (USUAL, v2.RandAugment), (WIDE, v2.TrivialAugmentWide), (MIXED, v2.AugMix)],
)
def test_the_magnitudes_are_those_of_torchvision(space: Any, oracle: type) -> None:
    frames = Frames.of([torch.empty(3, 33, 47)])
    for name, (magnitudes, _) in oracle._AUGMENTATION_SPACE.items():
        for bins in (2, 10, 31):
            expected = magnitudes(bins, 33, 47)
            for place in range(bins) if expected is not None else []:
                found = space.magnitudes(np.array([name]), np.array([place]), bins, frames)
                assert found.tolist() == [float(expected[place])], (name, place)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("policy", POLICIES)
def test_auto_augment(policy: AutoAugmentPolicy, dtype: torch.dtype) -> None:
    ours, oracle = transforms.AutoAugment(policy), v2.AutoAugment(theirs_of(policy))
    assert_parity(ours, oracle, make_images(dtype, sizes=SIZES), SEEDS)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_rand_augment(dtype: torch.dtype) -> None:
    assert_parity(transforms.RandAugment(), v2.RandAugment(), make_images(dtype, sizes=SIZES), SEEDS)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_trivial_augment(dtype: torch.dtype) -> None:
    assert_parity(transforms.TrivialAugmentWide(), v2.TrivialAugmentWide(), make_images(dtype, sizes=SIZES), SEEDS)


@settings(max_examples=25)
@given(
    count=st.integers(0, 3),
    bins=st.integers(2, 40),
    place=st.integers(0, 39),
    interpolation=st.sampled_from(["nearest", "bilinear"]),
    fill=st.sampled_from([None, 0, 127.5, (1.0, 20.0, 200.0)]),
    seed=st.integers(0, 2**32),
)
def test_rand_augment_with_any_parameters(
    count: int, bins: int, place: int, interpolation: str, fill: Any, seed: int
) -> None:
    given_ = {"num_ops": count, "magnitude": place % bins, "num_magnitude_bins": bins}
    given_ |= {"interpolation": interpolation, "fill": fill}
    images = make_images(sizes=[(33, 47)])
    assert_parity(transforms.RandAugment(**given_), v2.RandAugment(**given_), images, [seed, seed + 1])


@settings(max_examples=25)
@given(
    bins=st.integers(2, 40),
    interpolation=st.sampled_from(["nearest", "bilinear"]),
    fill=st.sampled_from([None, 0, 127.5, (1.0, 20.0, 200.0)]),
    seed=st.integers(0, 2**32),
)
def test_trivial_augment_with_any_parameters(bins: int, interpolation: str, fill: Any, seed: int) -> None:
    ours, oracle = (kind.TrivialAugmentWide(bins, interpolation, fill) for kind in (transforms, v2))
    assert_parity(ours, oracle, make_images(sizes=[(33, 47)]), range(seed, seed + 4))


@pytest.mark.parametrize("name", ["AutoAugment", "RandAugment", "TrivialAugmentWide"])
def test_one_image_of_any_kind(name: str) -> None:
    size = (33, 47)
    structures = [
        {"image": theirs.Image(make_image(size)), "label": 3},
        (make_image(size), torch.ones(3)),
        {"video": make_video_structure(size)["video"], "name": "a clip"},
        {"picture": make_picture(size=size), "labels": torch.ones(3)},
        make_picture(size=size, mode="L"),
        make_image(size, channels=1),
        make_image(size).expand(2, 3, *size),
    ]
    for interpolation in ("nearest", "bilinear", "bicubic"):  # tensors take no bicubic
        ours, oracle = (getattr(kind, name)(interpolation=interpolation) for kind in (transforms, v2))
        assert_target_parity(ours, oracle, structures, range(10))


def test_a_fill_for_each_kind() -> None:
    fill = {theirs.Image: 9, theirs.Video: (1.0, 2.0, 3.0), "others": 77}
    structures = [{"image": theirs.Image(make_image((33, 47)))}, {"video": make_video_structure((33, 47))["video"]}]
    structures += [make_picture(size=(33, 47)), make_image((33, 47))]
    ours, oracle = (kind.TrivialAugmentWide(fill=dict(fill)) for kind in (transforms, v2))
    assert_target_parity(ours, oracle, structures, range(20))


@pytest.mark.parametrize("name", ["AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix"])
def test_what_is_not_one_image_is_refused(name: str) -> None:
    ours, oracle = getattr(transforms, name)(), getattr(v2, name)()
    image = theirs.Image(make_image((5, 7)))
    structures = [make_structure((5, 7)), (image, image), {"label": 3}, (image, theirs.Mask(torch.zeros(5, 7)))]
    for structure in structures:
        assert isinstance(assert_eager_target_parity(ours, oracle, structure), TypeError)
        with pytest.raises(TypeError):
            ours(structure)
    with pytest.raises(TypeError, match="does not act on Mask"):
        Pipeline([ours])([(tv_tensors.Image(image), tv_tensors.Mask(torch.zeros(5, 7)))], [0])


def test_operations_of_one_family_run_together() -> None:
    images = [make_image((33, 47)) for _ in range(64)]
    op = transforms.RandAugment(num_ops=1).draw(Lanes(range(64)), Frames.of(images))
    steps = [*flat(op)]
    assert len(steps) < 14
    assert all(isinstance(step, Select) for step in steps)


def test_colours_of_two_channels_are_refused_where_they_are_picked() -> None:
    image = make_image((33, 47))[:2]
    refused = 0
    for seed in range(20):
        torch.manual_seed(seed)
        try:
            v2.TrivialAugmentWide()(image)
        except TypeError:
            refused += 1
            with pytest.raises(InvalidInput, match="of an augmentation takes images of 1 or 3 channels"):
                Pipeline([transforms.TrivialAugmentWide()])([image], [seed])
        else:
            Pipeline([transforms.TrivialAugmentWide()])([image], [seed])
    assert 0 < refused < 20


def test_a_record_replays_the_augmentation() -> None:
    images = [make_image((33, 47)) for _ in range(16)]
    results = Pipeline([transforms.RandAugment(fill=3)])(images, range(16), records=True)
    for image, result, record in zip(images, results, results.records, strict=True):
        assert torch.equal(record.from_json(record.to_json()).replay(image), result)


def test_parameters() -> None:
    with pytest.raises(ValueError, match="magnitude is 31; with 31 of them it is less than that"):
        transforms.RandAugment(magnitude=31)
    with pytest.raises(InvalidParameters, match="'imagnet' is no policy of AutoAugment; did you mean 'imagenet'"):
        transforms.AutoAugment("imagnet")
    for policy in (v2.AutoAugmentPolicy.SVHN, AutoAugmentPolicy.SVHN, "svhn"):
        assert transforms.AutoAugment(policy).policy is AutoAugmentPolicy.SVHN
    steps = loads("transforms: [{AutoAugment: {policy: cifar10}}, RandAugment, TrivialAugmentWide, AugMix]", "auto")
    assert [type(step).__name__ for step in steps.transforms[:2]] == ["AutoAugment", "RandAugment"]
