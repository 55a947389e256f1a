"""Functionals: one name, a kernel for each kind of input, numbers for all samples or for each."""

from __future__ import annotations

import pytest
import torch

from augserve_pipelines import dispatch, transforms, tv_tensors
from augserve_pipelines.dispatch import functional
from augserve_pipelines.transforms import functional as F
from factories import make_noise

BATCH = torch.stack([make_noise((9, 12), seed=i) for i in range(4)])  # [4, 3, 9, 12]


@pytest.mark.parametrize("name", ["adjust_brightness", "adjust_brightness_image", "adjust_brightness_video"])
def test_a_number_may_be_a_column_of_one_for_each_sample(name: str) -> None:
    factors = torch.tensor([0.2, 0.7, 1.0, 1.9])
    result = getattr(F, name)(BATCH, factors)
    for image, own, factor in zip(BATCH, result, factors.tolist(), strict=True):
        assert torch.equal(own, F.adjust_brightness(image, factor))


def test_several_columns_and_numbers_go_together() -> None:
    top, angle = torch.tensor([0, 1, 2, 5]), torch.tensor([0.0, 90, 33, -180])
    cropped = F.crop_image(BATCH, top, 2, height=4, width=torch.full((4,), 6))
    turned = F.rotate(tv_tensors.Image(BATCH), angle)
    assert type(turned) is tv_tensors.Image
    for i, image in enumerate(BATCH):
        assert torch.equal(cropped[i], F.crop(image, int(top[i]), 2, 4, 6))
        assert torch.equal(turned[i].as_subclass(torch.Tensor), F.rotate(image, float(angle[i])))


@pytest.mark.parametrize("act", [F.adjust_brightness, F.adjust_brightness_image])
def test_a_column_of_another_length_is_refused(act) -> None:
    with pytest.raises(ValueError, match=r"takes one value a sample: got \[3, 4\] samples and values"):
        act(BATCH, torch.ones(3))


def test_a_kind_without_a_kernel_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="adjust_hue does not act on Mask; it takes Tensor, Image, Video"):
        F.adjust_hue(tv_tensors.Mask(BATCH[0]), 0.1)
    mask = tv_tensors.Mask(BATCH[0])
    assert transforms.ColorJitter(hue=0.1)(mask) is mask  # a transform passes it through


class Heat(tv_tensors.TVTensor):
    """A map of temperatures."""


class LocalHeat(Heat):
    """One of a place."""


def _made(data: torch.Tensor, kind: type[Heat]) -> Heat:
    return data.as_subclass(kind)


def test_a_kernel_of_ones_own_acts_in_functionals_and_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "FUNCTIONALS", dict(dispatch.FUNCTIONALS))  # what is made here is not kept

    @functional(image=lambda image: image + 1)
    def raised(inpt):
        """One more."""

    @F.register_kernel(raised, Heat)
    def raise_heat(inpt):
        return _made(inpt.as_subclass(torch.Tensor) + 100, type(inpt))

    for kind in (Heat, LocalHeat):
        result = raised(_made(torch.zeros(2), kind))
        assert type(result) is kind
        assert result.as_subclass(torch.Tensor).tolist() == [100, 100]
    with pytest.raises(ValueError, match="has a kernel for Heat already"):
        F.register_kernel(raised, Heat)(raise_heat)


@pytest.mark.parametrize("kind", [tv_tensors.Image, tv_tensors.TVTensor, torch.Tensor, int])
def test_only_classes_of_ones_own_can_have_kernels(kind: type) -> None:
    with pytest.raises(ValueError, match="subclasses of TVTensor of your own"):
        F.register_kernel(F.resize, kind)(lambda inpt: inpt)


def test_unknown_functionals_are_refused() -> None:
    with pytest.raises(ValueError, match="no functional is named 'resiz'"):
        F.register_kernel("resiz", Heat)
