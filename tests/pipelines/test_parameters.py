"""What the constructors of transforms take and refuse, in the words they refuse it with."""

import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from augserve_pipelines import parameters as p
from augserve_pipelines.constraints import DTYPES
from augserve_pipelines.errors import InvalidParameters, PipelinesError
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms.base import Transform
from oracle import v2


class Everything(Transform):
    """Takes one parameter of each type; each has a default."""

    def __init__(
        self,
        flag: p.Flag = False,
        optional_flag: p.OptionalFlag = True,
        probability: p.Probability = 0.5,
        size: p.Size = 8,
        optional_size: p.OptionalSize = None,
        max_size: p.MaxSize = None,
        padding: p.Padding = 0,
        optional_padding: p.OptionalPadding = None,
        padding_mode: p.PaddingMode = "constant",
        fill: p.Fill = 0,
        interpolation: p.Interpolation = "bilinear",
        resize_interpolation: p.ResizeInterpolation = InterpolationMode.BILINEAR,
        warp_interpolation: p.WarpInterpolation = "nearest",
        dtype: p.Dtype = torch.float32,
        dtypes: p.DtypeOrMapping = torch.float32,
        area: p.AreaRange = (0.08, 1.0),
        erased_area: p.ErasedArea = (0.02, 0.33),
        ratio: p.Ratio = (3 / 4, 4 / 3),
        scale: p.ScaleRange = None,
        degrees: p.Degrees = 0,
        shear: p.Shear = None,
        translate: p.Translate = None,
        center: p.Center = None,
        factor: p.Factor = None,
        hue: p.Hue = None,
        kernel_size: p.KernelSize = 3,
        sigma: p.Sigma = (0.1, 2.0),
        channels: p.Channels = 1,
        bits: p.Bits = 8,
        threshold: p.Threshold = 128,
        erased_value: p.ErasedValue = 0.0,
        mean: p.Mean = (0.0,),
        std: p.Std = (1.0,),
        weights: p.Weights = None,
    ) -> None:
        super().__init__()


def argument(**given: Any) -> object:
    """The one argument as it reached the constructor."""
    (name,) = given
    return Everything(**given).arguments[name]


def complaint(**given: Any) -> str:
    """What is said about the one argument, without its place."""
    with pytest.raises(InvalidParameters) as caught:
        Everything(**given)
    return str(caught.value).removeprefix("Everything.")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"probability": 1}, 1.0),
        ({"probability": np.float32(0.5)}, 0.5),
        ({"size": 224}, 224),
        ({"size": [224]}, (224,)),
        ({"size": [224, 192]}, (224, 192)),
        ({"size": torch.Size([224, 192])}, (224, 192)),
        ({"size": np.array([224, 192])}, (224, 192)),
        ({"size": np.int64(224)}, 224),
        ({"size": [np.int64(224)]}, (224,)),
        ({"optional_size": None}, None),
        ({"padding": -3}, -3),
        ({"padding": [1, 2, 3, 4]}, (1, 2, 3, 4)),
        ({"padding_mode": "reflect"}, "reflect"),
        ({"fill": None}, None),
        ({"fill": 255}, 255.0),
        ({"fill": (1, 2, 3)}, (1.0, 2.0, 3.0)),
        ({"fill": {torch.Tensor: 3, "others": [1, 2]}}, {torch.Tensor: 3.0, "others": (1.0, 2.0)}),
        ({"fill": {"Tensor": None}}, {torch.Tensor: None}),
        ({"interpolation": "nearest-exact"}, InterpolationMode.NEAREST_EXACT),
        ({"interpolation": 3}, InterpolationMode.BICUBIC),
        ({"interpolation": InterpolationMode.LANCZOS}, InterpolationMode.LANCZOS),
        ({"dtype": "uint8"}, torch.uint8),
        ({"dtype": torch.bfloat16}, torch.bfloat16),
        ({"dtypes": {"others": None, torch.Tensor: "float16"}}, {"others": None, torch.Tensor: torch.float16}),
        ({"degrees": 30}, 30.0),
        ({"degrees": [-30, 10]}, (-30.0, 10.0)),
        ({"shear": [-1, 1, -2, 2]}, (-1.0, 1.0, -2.0, 2.0)),
        ({"factor": [0.5, 1.5]}, (0.5, 1.5)),
        ({"hue": [-0.5, 0.5]}, (-0.5, 0.5)),
        ({"kernel_size": [3, 5]}, (3, 5)),
        ({"erased_value": "random"}, "random"),
        ({"mean": np.array([0.5, 0.25])}, (0.5, 0.25)),
        ({"std": torch.tensor([0.5, 0.25])}, (0.5, 0.25)),
    ],
)
def test_what_torchvision_takes_is_taken(given: Mapping[str, Any], expected: object) -> None:
    found = argument(**given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"probability": 1.5}, "probability: 1.5 is greater than 1"),
        ({"probability": -1}, "probability: -1 is less than 0"),
        ({"probability": True}, "probability: true is not a number"),
        ({"probability": "0.5"}, "probability: '0.5' is not a number"),
        ({"probability": None}, "probability: null is not a number"),
        ({"probability": float("nan")}, "probability: nan is not a finite number"),
        ({"threshold": float("inf")}, "threshold: inf is not a finite number"),
        ({"flag": 1}, "flag: 1 is not true or false"),
        ({"flag": "on"}, "flag: 'on' is not true or false"),
        ({"size": 0}, "size: 0 is less than 1"),
        ({"size": True}, "size: true is not an integer or a list of one or two integers"),
        ({"size": 224.0}, "size: 224 is not an integer or a list of one or two integers"),
        ({"size": [224, 0]}, "size[1]: 0 is less than 1"),
        ({"size": [224, "a"]}, "size[1]: 'a' is not an integer"),
        ({"size": [1, 2, 3]}, "size: [1, 2, 3] is not an integer or a list of one or two integers"),
        ({"size": []}, "size: [] is not an integer or a list of one or two integers"),
        ({"padding": [1, 2, 3]}, "padding: [1, 2, 3] is not an integer or a list of one, two or four integers"),
        ({"padding_mode": "mirror"}, "padding_mode: 'mirror' is not one of constant, edge, reflect, symmetric"),
        ({"fill": [1, "a"]}, "fill[1]: 'a' is not a number"),
        (
            {"fill": "red"},
            "fill: 'red' is not a number, a list of numbers (one a channel), null, or a mapping from kinds of input to "
            "these",
        ),
        (
            {"fill": {"Picture": 1}},
            "fill[Picture]: 'Picture' is no kind of input; "
            "allowed: BoundingBoxes, Image, KeyPoints, Mask, PIL.Image, Tensor, Video, others",
        ),
        ({"fill": {"others": "red"}}, "fill[others]: 'red' is not a number or a list of numbers or null"),
        (
            {"warp_interpolation": "box"},
            "warp_interpolation: 'box' is not supported here; allowed: nearest, nearest-exact, bilinear, bicubic",
        ),
        (
            {"dtype": torch.complex64},
            "dtype: torch.complex64 is no dtype of images; allowed: bfloat16, float16, float32, float64, int16, int32, "
            "int64, int8, uint16, uint8",
        ),
        ({"dtype": 3}, "dtype: 3 is not a dtype"),
        ({"dtypes": {"others": 3}}, "dtypes[others]: 3 is not a dtype or null"),
        ({"area": [0.5, 0.1]}, "area: [0.5, 0.1] is not [low, high]: 0.5 is greater than 0.1"),
        ({"area": 0.5}, "area: 0.5 is not two numbers [low, high]"),
        ({"erased_area": [0.1, 1.1]}, "erased_area[1]: 1.1 is greater than 1"),
        ({"ratio": [0, 1]}, "ratio[0]: 0 is not greater than 0"),
        ({"degrees": -1}, "degrees: -1 is less than 0"),
        ({"degrees": [30, -30]}, "degrees: [30, -30] is not [low, high]: 30 is greater than -30"),
        ({"shear": [1, 2, 4, 3]}, "shear: [1, 2, 4, 3] is not [low, high]: 4 is greater than 3"),
        ({"hue": 0.6}, "hue: 0.6 is greater than 0.5"),
        ({"hue": [-0.6, 0]}, "hue[0]: -0.6 is less than -0.5"),
        ({"kernel_size": 4}, "kernel_size: 4 is not odd"),
        ({"kernel_size": [3, 4]}, "kernel_size[1]: 4 is not odd"),
        ({"sigma": 0}, "sigma: 0 is not greater than 0"),
        (
            {"erased_value": "randm"},
            "erased_value: 'randm' is not a number, a list of numbers (one a channel), or 'random'",
        ),
        ({"sigma": [2, 1]}, "sigma: [2, 1] is not [low, high]: 2 is greater than 1"),
        ({"channels": 2}, "channels: 2 is neither 1 nor 3"),
        ({"channels": True}, "channels: true is not 1 or 3"),
        ({"bits": 9}, "bits: 9 is greater than 8"),
        ({"std": [1, 0]}, "std[1]: 0 is not allowed: values are divided by it"),
        ({"mean": []}, "mean: [] is not a list of numbers, one a channel"),
        ({"mean": [1, "2"]}, "mean[1]: '2' is not a number"),
        ({"mean": "12"}, "mean: '12' is not a list of numbers, one a channel"),
    ],
)
def test_what_cannot_run_is_refused_in_words(given: Mapping[str, Any], expected: str) -> None:
    assert complaint(**given) == expected


def test_unknown_modes_and_dtypes_suggest_the_nearest() -> None:
    assert "did you mean 'bilinear'? allowed: bicubic, bilinear" in complaint(interpolation="bilinar")
    assert "did you mean 'bicubic'?" in complaint(interpolation="BICUBIC")
    assert "did you mean 'float32'? allowed: bfloat16, float16" in complaint(dtype="flaot32")


def test_every_wrong_argument_is_reported_at_once() -> None:
    with pytest.raises(InvalidParameters) as caught:
        Everything(probability=2, size=0, mean=[1, "x"])
    assert [problem.place for problem in caught.value.problems] == [
        "Everything.probability",
        "Everything.size",
        "Everything.mean[1]",
    ]


def test_the_error_is_a_value_error_and_survives_pickling() -> None:
    with pytest.raises(ValueError, match="probability: 2 is greater than 1") as caught:
        Everything(probability=2)
    assert isinstance(caught.value, PipelinesError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(complaint(mean=["x" * 1000])) < 150
    assert len(complaint(size=list(range(10_000)))) < 200


def test_missing_and_unknown_arguments_are_type_errors_as_in_python() -> None:
    with pytest.raises(TypeError, match="Everything: got an unexpected keyword argument 'sise'"):
        Everything(sise=3)  # type: ignore[call-arg]  # the error is the point

    class Needy(Transform):
        def __init__(self, size: p.Size) -> None:
            super().__init__()

    with pytest.raises(TypeError, match="Needy: missing a required argument: 'size'"):
        Needy()  # type: ignore[call-arg]  # the error is the point


def test_arguments_are_kept_with_defaults_positional_or_not() -> None:
    by_place, by_name = Everything(True, None, 1), Everything(probability=1, flag=True, optional_flag=None)
    assert by_place.arguments == by_name.arguments
    assert list(by_place.arguments) == list(Everything().arguments)
    assert by_place.arguments["sigma"] == (0.1, 2.0)
    assert copy.deepcopy(by_place).arguments == pickle.loads(pickle.dumps(by_place)).arguments == by_place.arguments


def test_the_arguments_are_no_alias_of_a_list_that_the_caller_may_change() -> None:
    mean = [0.5, 0.5]
    transform = Everything(mean=mean)
    mean[0] = 9.0
    assert transform.arguments["mean"] == (0.5, 0.5)


class Tilted(Everything):
    def __init__(self, tilt: p.Degrees, levels: Sequence[str] = ("a",), call: Callable[[int], int] = abs) -> None:
        self.early = dict(self.arguments)  # there before nn.Module is initialised
        super().__init__(degrees=tilt)


def test_a_subclass_keeps_its_own_arguments_and_both_are_checked() -> None:
    transform = Tilted(3)
    assert transform.arguments == transform.early == {"tilt": 3.0, "levels": ("a",), "call": abs}
    with pytest.raises(InvalidParameters, match=r"Tilted\.tilt: 'x' is not a number"):
        Tilted("x")  # type: ignore[arg-type]  # the error is the point


def test_a_subclass_without_a_constructor_is_checked_once() -> None:
    class Renamed(Everything):
        pass

    assert Renamed(size=3).arguments["size"] == 3
    with pytest.raises(InvalidParameters, match=r"^Renamed\.size: 0 is less than 1$"):
        Renamed(size=0)


def test_a_parameter_of_ones_own_may_have_any_type_or_none() -> None:
    class Own(Transform):
        def __init__(self, matrix: torch.Tensor, name, rate: float = 1) -> None:  # type: ignore[no-untyped-def]
            super().__init__()
            self.matrix = matrix

    matrix = torch.eye(2)
    transform = Own(matrix, object)
    assert transform.matrix is matrix
    assert transform.arguments == {"matrix": matrix, "name": object, "rate": 1.0}
    with pytest.raises(InvalidParameters, match=r"Own\.matrix: 3 is not a Tensor"):
        Own(3, None)  # type: ignore[arg-type]  # the error is the point


class Nested(Transform):
    def __init__(self, transforms: p.Transforms) -> None:
        super().__init__()
        self.transforms = transforms


@pytest.mark.parametrize("sequence", [list, tuple, nn.ModuleList])
def test_nested_transforms_may_come_in_any_sequence(sequence: Callable[[Sequence[Transform]], Any]) -> None:
    children = [Everything(), Tilted(1)]
    assert Nested(sequence(children)).arguments["transforms"] == tuple(children)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([], "the list of transforms is empty"),
        ("abc", "'abc' is not a list of transforms"),
        (Everything(), "is not a list of transforms"),
        ([Everything(), nn.Identity()], r"item 1 is not an augserve transform: Identity\(\)"),
        ([abs], "item 0 is not an augserve transform"),
    ],
)
def test_nested_transforms_must_be_transforms(transforms: Any, message: str) -> None:
    with pytest.raises(InvalidParameters, match=rf"^Nested\.transforms: .*{message}"):
        Nested(transforms)


def test_the_modes_are_torchvisions_and_its_members_are_taken() -> None:
    theirs = v2.InterpolationMode
    assert {mode.name: mode.value for mode in theirs} == {mode.name: mode.value for mode in InterpolationMode}
    assert [InterpolationMode(mode) for mode in theirs] == list(InterpolationMode)
    with pytest.raises(ValueError, match="7 is not a valid"):
        InterpolationMode(7)


def test_every_dtype_has_a_name() -> None:
    assert all(getattr(torch, name) is dtype for name, dtype in DTYPES.items())


def test_a_value_per_kind_is_looked_up_as_torchvision_does() -> None:
    assert p.for_kind(3, torch.Tensor) == 3
    assert p.for_kind({torch.Tensor: 1, "others": 2}, torch.Tensor) == 1
    assert p.for_kind({"others": 2}, torch.Tensor) == 2
    assert p.for_kind({torch.Tensor: None, "others": 2}, torch.Tensor) is None
    assert p.for_kind({int: 1}, torch.Tensor) is None
