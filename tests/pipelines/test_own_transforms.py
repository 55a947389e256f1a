"""Transforms of one's own, written the way torchvision's are: `make_params` once, `transform` for each input."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from augserve_pipelines import Pipeline, transforms, tv_tensors
from augserve_pipelines.errors import InvalidInput, InvalidParameters
from augserve_pipelines.transforms import functional
from factories import make_image
from oracle import tv_functional, v2


class QuarterTurn(transforms.Transform):
    """Turn the sample by a random number of quarters."""

    def __init__(self, most: int = 4) -> None:
        super().__init__()
        self.most = most

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if any(isinstance(leaf, str) for leaf in flat_inputs):
            raise TypeError("no strings")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quarters": int(torch.randint(0, self.most, ())), "count": len(flat_inputs)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return functional.rotate(inpt, 90.0 * params["quarters"])


class TheirQuarterTurn(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quarters": int(torch.randint(0, 4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return tv_functional.rotate(inpt, 90.0 * params["quarters"])


class Nothing(transforms.Transform):
    """Of no method at all."""


def _sample() -> dict[str, Any]:
    image = tv_tensors.Image(make_image((24, 30)))
    boxes = tv_tensors.BoundingBoxes([[1.0, 2, 9, 12]], format="XYXY", canvas_size=(24, 30))
    return {"image": image, "boxes": boxes, "mask": tv_tensors.Mask(image[0]), "label": torch.tensor(3), "id": 5}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_drawn_once_and_run_on_every_input_as_in_torchvision(seed: int) -> None:
    sample = _sample()
    torch.manual_seed(seed)
    result = transforms.Compose([transforms.RandomHorizontalFlip(), QuarterTurn()])(sample)
    torch.manual_seed(seed)
    image = v2.Compose([v2.RandomHorizontalFlip(), TheirQuarterTurn()])(torch.Tensor(sample["image"]).byte())
    assert torch.equal(result["image"].as_subclass(torch.Tensor), image)
    assert torch.equal(result["mask"].as_subclass(torch.Tensor), image[0])
    assert type(result["boxes"]) is tv_tensors.BoundingBoxes
    assert (result["label"], result["id"]) == (3, 5)


def test_it_sees_only_what_it_acts_on_and_checks_everything() -> None:
    assert QuarterTurn().make_params([1, 2])["count"] == 2
    with pytest.raises(TypeError, match="no strings"):
        QuarterTurn()({**_sample(), "name": "a string"})


def test_it_can_be_copied_and_pickled() -> None:
    for turn in (copy.deepcopy(QuarterTurn(3)), pickle.loads(pickle.dumps(QuarterTurn(3)))):
        assert repr(turn) == "QuarterTurn(most=3)"


def test_a_pipeline_says_that_it_needs_draw() -> None:
    with pytest.raises(NotImplementedError, match=r"QuarterTurn defines transform\(\).*a pipeline needs draw\(\)"):
        Pipeline([QuarterTurn()])([make_image((4, 4))], [0])
    with pytest.raises(NotImplementedError, match=r"Nothing defines neither draw\(\) nor transform\(\)"):
        Nothing()(make_image((4, 4)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (v2.RandomHorizontalFlip(), "torchvision's RandomHorizontalFlip.*Pipeline.from_torchvision"),
        (len, "not an augserve transform.*Lambda"),
        (torch.nn.Identity(), "not an augserve transform.*Identity.*Lambda"),
        (7, "not an augserve transform: 7$"),
    ],
)
def test_a_step_that_is_no_transform_is_refused_with_the_way_to_make_it_one(step: object, message: str) -> None:
    for make in (transforms.Compose, Pipeline):
        with pytest.raises(InvalidParameters, match=message):
            make([step])


def test_a_parameter_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        TypeError, match=r"Resize: got an unexpected keyword argument 'interpolaton'; did you mean 'interp"
    ):
        transforms.Resize(10, interpolaton="bilinear")


def test_images_without_labels_are_not_taken_for_labels() -> None:
    with pytest.raises(
        InvalidInput, match=r"not a tensor of 4 dimensions: beside the images, the second item of a batch"
    ):
        transforms.MixUp(num_classes=3)(torch.zeros(2, 3, 4, 4))


def test_boxes_without_labels_are_refused_with_what_to_do() -> None:
    sample = {name: value for name, value in _sample().items() if name != "label"}
    with pytest.raises(InvalidInput, match="give labels, or set labels_getter to None where there are none"):
        transforms.SanitizeBoundingBoxes()(sample)


def test_the_interpolation_of_a_transform_is_shown() -> None:
    shown = repr(transforms.Resize(10, interpolation=transforms.InterpolationMode.BICUBIC))
    assert shown == "Resize(size=10, interpolation=bicubic, antialias=True)"
