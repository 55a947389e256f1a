"""MixUp and CutMix against torchvision, and their modes that torchvision has not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from augserve_pipelines import InvalidInput, Pipeline, transforms, tv_tensors
from augserve_pipelines.lanes import Lanes
from factories import make_image, make_noise, make_picture
from oracle import tv_tensors as theirs
from oracle import v2
from pipelines.parity import assert_same
from pipelines.targets import as_ours, assert_eager_target_parity, assert_same_structure

CLASSES = 5
NAMES = ("china", "flower", "chelsea")


def make_batch(count: int = 4, dtype: torch.dtype = torch.float32, size: tuple[int, int] = (13, 17)) -> Tensor:
    return torch.stack([make_noise(size, dtype, seed=seed) for seed in range(count)])


def make_labels(count: int = 4) -> Tensor:
    return torch.arange(count) % CLASSES


@settings(max_examples=40)
@given(
    name=st.sampled_from(["MixUp", "CutMix"]),
    alpha=st.floats(0.1, 8.0),
    count=st.integers(1, 6),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16]),
    seed=st.integers(0, 2**40),
)
def test_a_batch_is_mixed_as_by_torchvision(name: str, alpha: float, count: int, dtype: torch.dtype, seed: int) -> None:
    ours = getattr(transforms, name)(alpha=alpha, num_classes=CLASSES)
    oracle = getattr(v2, name)(alpha=alpha, num_classes=CLASSES)
    batch = theirs.Image(make_batch(count, dtype)), make_labels(count)
    assert_eager_target_parity(ours, oracle, batch, seed)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize(
    "batch",
    [
        (make_batch(), make_labels()),
        (theirs.Image(make_batch()), {"name": "four", "Labels": make_labels(), "label": 0}),
        {"image": theirs.Image(make_batch()), "my_label": torch.rand(4, CLASSES)},
        (theirs.Video(torch.rand(3, 2, 3, 5, 7)), torch.eye(3, CLASSES, dtype=torch.int64)),
        [theirs.Image(make_batch()), make_labels(), theirs.Image(make_batch(size=(13, 17)) / 2), "text"],
        (make_batch(dtype=torch.uint8), make_labels()),
    ],
)
def test_structures_of_batches(name: str, batch: Any) -> None:
    ours = getattr(transforms, name)(num_classes=CLASSES)
    assert_eager_target_parity(ours, getattr(v2, name)(num_classes=CLASSES), batch, seed=3)


def test_labels_are_found_by_a_function() -> None:
    batch = {"pixels": theirs.Image(make_batch()), "target": {"y": torch.rand(4, 3)}}
    for name in ("MixUp", "CutMix"):
        ours, oracle = (getattr(kind, name)(labels_getter=lambda b: b["target"]["y"]) for kind in (transforms, v2))
        assert_eager_target_parity(ours, oracle, batch)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize(
    ("batch", "classes", "message"),
    [
        ((make_batch(), make_labels()), None, "num_classes is needed"),
        ((make_batch(), torch.rand(4, 3)), CLASSES, "labels have 3 classes, and num_classes is 5"),
        ((make_batch(), torch.full((4,), CLASSES)), CLASSES, "integers from 0 to 4"),
        ((make_batch(), make_labels(3)), CLASSES, "got 4 images and 3 labels"),
        ((make_batch()[0], make_labels(3)), CLASSES, r"takes a batch \[N, C, H, W\], got \[3, 13, 17\]"),
        ((make_batch(), "labels"), CLASSES, "labels"),
        ((make_batch(), torch.rand(2, 2, 2)), CLASSES, r"a tensor \[N\] or \[N, classes\], not a tensor of 3 dim"),
        ((make_picture(size=(5, 5)), make_labels()), CLASSES, "mixes images and videos, not Image"),
        ((make_batch(), {"labels": make_labels(), "mask": theirs.Mask(torch.zeros(5, 5))}), CLASSES, "not Mask"),
    ],
)
def test_what_cannot_be_mixed_is_refused(name: str, batch: Any, classes: int | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        getattr(transforms, name)(num_classes=classes)(batch)
    with pytest.raises((ValueError, RuntimeError)):
        getattr(v2, name)(num_classes=classes)(batch)


def test_mixup_names_the_cure_for_bytes() -> None:
    with pytest.raises(InvalidInput, match=r"MixUp takes floats, got torch.uint8: ToDtype\(float32, scale=True\) goes"):
        transforms.MixUp(num_classes=CLASSES)(make_batch(dtype=torch.uint8), make_labels())


def test_a_share_for_each_image() -> None:
    images, labels = make_batch(5), make_labels(5)
    torch.manual_seed(3)
    mixed, targets = transforms.MixUp(num_classes=CLASSES, mode="elem")(images, labels)
    shares = torch._sample_dirichlet(torch.ones(5, 2), generator=torch.Generator().manual_seed(3))[:, 0].tolist()
    assert len(set(shares)) == 5
    for i, share in enumerate(shares):
        assert_same(mixed[i], images[i - 1] * (1.0 - share) + images[i] * share, f"image {i}")
        assert float(targets[i, i % CLASSES]) == pytest.approx(share)
    assert_same(targets.sum(1).round(decimals=5), torch.ones(5), "all labels")


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_a_share_for_each_pair(count: int) -> None:
    images, labels = make_batch(count), torch.eye(count)
    torch.manual_seed(1)
    mixed, targets = transforms.MixUp(mode="pair")(images, labels)
    for i in range(count):
        own, partner = float(targets[i, i]), count - 1 - i
        expected = images[partner] * (1.0 - own) + images[i] * own
        torch.testing.assert_close(mixed[i], expected)
        assert float(targets[partner, partner]) == own  # both of a pair keep the same share
    if count % 2:
        assert_same(mixed[count // 2], images[count // 2], "the one in the middle stays")


@pytest.mark.parametrize("mode", ["elem", "pair"])
def test_a_rectangle_for_each_image(mode: str) -> None:
    count = 6
    images = torch.arange(count).view(count, 1, 1, 1).expand(count, 3, 40, 50).float()
    torch.manual_seed(5)
    mixed, targets = transforms.CutMix(mode=mode)(images, torch.eye(count))
    partners = [count - 1 - i if mode == "pair" else (i - 1) % count for i in range(count)]
    for i, partner in enumerate(partners):
        assert set(mixed[i].unique().tolist()) <= {float(i), float(partner)}
        share = float((mixed[i] == i).double().mean())
        assert float(targets[i, i]) == pytest.approx(share, abs=1e-6)
        assert float(targets[i, partner]) == pytest.approx(1 - share, abs=1e-6)
    areas = {round(float((mixed[i] == i).double().mean()), 6) for i in range(count)}
    assert len(areas) == (count // 2 if mode == "pair" else count)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_a_pipeline_mixes_the_samples_of_one_call(name: str) -> None:
    steps = [transforms.ToDtype(torch.float32, scale=True), getattr(transforms, name)(num_classes=CLASSES)]
    pipeline = Pipeline([*steps, transforms.Normalize([0.5], [0.5])])
    assert pipeline.batched
    samples = [{"image": tv_tensors.Image(make_image((20, 30), name=one)), "label": i} for i, one in enumerate(NAMES)]
    results = pipeline(samples, [0, 1, 7])
    batch = {"image": theirs.Image(torch.stack([sample["image"] for sample in samples])), "label": torch.arange(3)}
    oracle = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), getattr(v2, name)(num_classes=CLASSES), v2.Normalize([0.5], [0.5])]
    )
    torch.manual_seed(8)  # of what acts on the batch: the one after the last
    expected = as_ours(oracle(batch))
    for i, result in enumerate(results):
        own = {"image": tv_tensors.Image(expected["image"][i]), "label": expected["label"][i]}
        assert_same_structure(result, own, f"{name}, sample {i}")


def test_one_of_both_is_mixed_within_a_choice() -> None:
    kinds = [transforms.MixUp(num_classes=CLASSES), transforms.CutMix(num_classes=CLASSES)]
    oracles = [v2.MixUp(num_classes=CLASSES), v2.CutMix(num_classes=CLASSES)]
    batch = theirs.Image(make_batch()), make_labels()
    for seed in range(4):
        assert_eager_target_parity(transforms.RandomChoice(kinds), v2.RandomChoice(oracles), batch, seed)
    samples = [(tv_tensors.Image(image), int(label)) for image, label in zip(*batch, strict=True)]
    results = Pipeline([transforms.RandomChoice(kinds)])(samples, range(4))
    assert all(result[1].shape == (CLASSES,) for result in results)


def test_lanes_give_the_shares_of_torchvision() -> None:
    beta = torch.distributions.Beta(torch.tensor([0.4]), torch.tensor([0.4]))
    torch.manual_seed(11)
    expected = float(beta.sample(()))
    (drawn,) = Lanes([11]).each(lambda generator, _: transforms.MixUp(alpha=0.4)._shares(1, generator))
    assert drawn == [expected]
