"""Which transform becomes which form."""

from collections.abc import Callable, Mapping
from typing import Any

import PIL
import torch
from torch import nn

from augserve_pipelines.constraints import for_kind
from augserve_pipelines.scripting.arguments import (
    Arguments,
    center_of,
    color_of,
    factors,
    interval,
    mode_of,
    pair,
    shifts,
    sides_of,
    size_of,
    taps_of,
)
from augserve_pipelines.scripting.automatic import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
from augserve_pipelines.scripting.blur import GaussianBlur
from augserve_pipelines.scripting.color import SHARPNESS, Adjust, ColorJitter, Grayscale, KeptGrayscale, Rgb
from augserve_pipelines.scripting.crop import CenterCrop, FiveCrop, RandomCrop, RandomResizedCrop, Stacked, TenCrop
from augserve_pipelines.scripting.flip import Flip
from augserve_pipelines.scripting.form import Form, Nothing, Sometimes, Steps
from augserve_pipelines.scripting.pad import Pad
from augserve_pipelines.scripting.resize import PillowResize, Resize
from augserve_pipelines.scripting.tones import Autocontrast, Equalize, Invert, Posterize, Solarize
from augserve_pipelines.scripting.values import Cast, Erase, Linear, Normalize
from augserve_pipelines.scripting.warps import Elastic, Perspective, RandomAffine, RandomRotation
from augserve_pipelines.transforms.augmentation_space import MIXED, MIXED_GEOMETRY, USUAL, WIDE
from augserve_pipelines.transforms.auto_augment_policies import policies

__all__ = ["FORMS", "SCRIPTABLE", "form_of", "scriptable"]

_PILLOW_MAY_GO_DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13

# What upstream can script.
SCRIPTABLE = (
    "AugMix",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "ConvertImageDtype",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "Grayscale",
    "LinearTransformation",
    "Normalize",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "TrivialAugmentWide",
)


def scriptable(transform: nn.Module) -> nn.Module:
    """What ``torch.jit.script`` is to compile in place of a transform.

    Raises:
        RuntimeError: TorchScript cannot run this transform.
    """
    form = form_of(transform)
    unknown = [name for name in _names(transform) if name not in SCRIPTABLE]
    if form is None or unknown:
        name = (unknown or _names(transform))[0]
        raise RuntimeError(f"{name} cannot be scripted; these transforms can be: {', '.join(SCRIPTABLE)}")
    return form


def _names(transform: Any) -> list[str]:
    """The name of a transform, and those of its steps."""
    return [type(transform).__name__, *(name for step in transform.steps() for name in _names(step))]


def form_of(transform: nn.Module, **given: Any) -> nn.Module | None:
    """The form of a transform of this package; None where it has none.

    Args:
        transform: the transform.
        given: arguments that hold for it and its steps instead of their own, such as ``inplace``; and ``parity``,
            whose resize to reproduce, and ``stacked``, whether several results become one tensor, as in a pipeline.
    """
    kind = type(transform)
    ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    if not ours or kind.__name__ not in FORMS:
        return None
    own: Arguments = transform.arguments  # type: ignore[assignment]  # nn.Module says Tensor | Module
    return FORMS[kind.__name__]({"parity": "torchvision", "stacked": False, **own, **given, "given": given})


def _steps(arguments: Arguments) -> nn.Module | None:
    forms = [form_of(step, **arguments["given"]) for step in arguments["transforms"]]
    known = [form for form in forms if form is not None]
    return Steps(known) if len(known) == len(forms) else None


def _five_crop(arguments: Arguments) -> nn.Module:
    crops = FiveCrop(*size_of(arguments))
    return Stacked(crops) if arguments["stacked"] else crops


def _ten_crop(arguments: Arguments) -> nn.Module:
    crops = TenCrop(*size_of(arguments), arguments["vertical_flip"])
    return Stacked(crops) if arguments["stacked"] else crops


def _sometimes(build: Callable[[Arguments], nn.Module | None]) -> Callable[[Arguments], nn.Module | None]:
    def build_random(arguments: Arguments) -> nn.Module | None:
        form = build(arguments)
        return None if form is None else Sometimes(form, arguments["p"])

    return build_random


def _resize(arguments: Arguments) -> Form:
    size = arguments["size"]
    sides = () if size is None else (size,) if isinstance(size, int) else tuple(size)
    mode, max_size, antialias = mode_of(arguments), arguments["max_size"], bool(arguments["antialias"])
    if arguments["parity"] == "pillow" and antialias and mode in ("bilinear", "bicubic"):
        return PillowResize(sides, mode, max_size, _PILLOW_MAY_GO_DOWN_FIRST)
    return Resize(sides, mode, max_size, antialias)


def _pad(arguments: Arguments) -> Form:
    return Pad(sides_of(arguments["padding"]), color_of(arguments) or [0.0], arguments["padding_mode"])


def _random_crop(arguments: Arguments) -> Form:
    sides, fill = sides_of(arguments["padding"]), color_of(arguments) or [0.0]
    return RandomCrop(size_of(arguments), sides, arguments["pad_if_needed"], fill, arguments["padding_mode"])


def _random_resized_crop(arguments: Arguments) -> Form:
    scale, ratio = pair(arguments["scale"]), pair(arguments["ratio"])
    return RandomResizedCrop(size_of(arguments), scale, ratio, mode_of(arguments), bool(arguments["antialias"]))


def _affine(arguments: Arguments) -> Form:
    degrees, shear = interval(arguments["degrees"]), arguments["shear"]
    return RandomAffine(
        (degrees[0], degrees[1]),
        arguments["translate"],
        arguments["scale"],
        () if shear is None else interval(shear),
        mode_of(arguments),
        color_of(arguments),
        center_of(arguments),
    )


def _rotation(arguments: Arguments) -> Form:
    degrees, expand = interval(arguments["degrees"]), arguments["expand"]
    return RandomRotation(
        (degrees[0], degrees[1]), mode_of(arguments), expand, center_of(arguments), color_of(arguments)
    )


def _elastic(arguments: Arguments) -> Form:
    return Elastic(pair(arguments["alpha"]), pair(arguments["sigma"]), mode_of(arguments), color_of(arguments))


def _jitter(arguments: Arguments) -> Form:
    limits = [factors(arguments[name]) for name in ("brightness", "contrast", "saturation")]
    limits.append(shifts(arguments["hue"]))
    return ColorJitter([range_ is not None for range_ in limits], [range_ or (0.0, 0.0) for range_ in limits])


def _erase(arguments: Arguments) -> Form:
    value = arguments["value"]
    numbers = () if isinstance(value, str) else (value,) if isinstance(value, int | float) else tuple(value)
    return Erase(pair(arguments["scale"]), pair(arguments["ratio"]), numbers, arguments["inplace"])


def _normalize(arguments: Arguments) -> Form:
    return Normalize(list(arguments["mean"]), list(arguments["std"]), arguments["inplace"])


def _to_dtype(arguments: Arguments) -> Form:
    dtype = for_kind(arguments["dtype"], torch.Tensor)
    return Nothing() if dtype is None else Cast(dtype, arguments["scale"])


def _auto_augment(arguments: Arguments) -> Form:
    pairs = [list(one) for one in policies(arguments["policy"])]
    return AutoAugment(pairs, mode_of(arguments), color_of(arguments))


def _rand_augment(arguments: Arguments) -> Form:
    count, magnitude, bins = (arguments[name] for name in ("num_ops", "magnitude", "num_magnitude_bins"))
    return RandAugment(list(USUAL.names), count, magnitude, bins, mode_of(arguments), color_of(arguments))


def _trivial_augment(arguments: Arguments) -> Form:
    bins = arguments["num_magnitude_bins"]
    return TrivialAugmentWide(list(WIDE.names), bins, mode_of(arguments), color_of(arguments))


def _aug_mix(arguments: Arguments) -> Form:
    names = (MIXED if arguments["all_ops"] else MIXED_GEOMETRY).names
    severity, width, depth, alpha = (arguments[key] for key in ("severity", "mixture_width", "chain_depth", "alpha"))
    return AugMix(list(names), severity, width, depth, alpha, mode_of(arguments), color_of(arguments))


# What acts on boxes, key points and PIL images leaves a tensor as it is.
_PASSING = (
    "ClampBoundingBoxes",
    "ClampKeyPoints",
    "ConvertBoundingBoxFormat",
    "Identity",
    "PILToTensor",
    "SetClampingMode",
    "ToImage",
    "ToPureTensor",
    "ToTensor",
)

FORMS: Mapping[str, Callable[[Arguments], nn.Module | None]] = {
    "AugMix": _aug_mix,
    "AutoAugment": _auto_augment,
    "CenterCrop": lambda arguments: CenterCrop(*size_of(arguments)),
    "ColorJitter": _jitter,
    "Compose": _steps,
    "ConvertImageDtype": lambda arguments: Cast(arguments["dtype"], True),
    "ElasticTransform": _elastic,
    "FiveCrop": _five_crop,
    "GaussianBlur": lambda arguments: GaussianBlur(taps_of(arguments), pair(arguments["sigma"])),
    "Grayscale": lambda arguments: Grayscale(arguments["num_output_channels"]),
    "LinearTransformation": lambda arguments: Linear(arguments["transformation_matrix"], arguments["mean_vector"]),
    "Normalize": _normalize,
    "Pad": _pad,
    "RGB": lambda arguments: Rgb(),
    "RandAugment": _rand_augment,
    "RandomAdjustSharpness": _sometimes(lambda arguments: Adjust(SHARPNESS, arguments["sharpness_factor"])),
    "RandomAffine": _affine,
    "RandomApply": _sometimes(_steps),
    "RandomAutocontrast": _sometimes(lambda arguments: Autocontrast()),
    "RandomCrop": _random_crop,
    "RandomEqualize": _sometimes(lambda arguments: Equalize()),
    "RandomErasing": _sometimes(_erase),
    "RandomGrayscale": _sometimes(lambda arguments: KeptGrayscale()),
    "RandomHorizontalFlip": _sometimes(lambda arguments: Flip(-1)),
    "RandomInvert": _sometimes(lambda arguments: Invert()),
    "RandomPerspective": _sometimes(
        lambda arguments: Perspective(arguments["distortion_scale"], mode_of(arguments), color_of(arguments))
    ),
    "RandomPosterize": _sometimes(lambda arguments: Posterize(arguments["bits"])),
    "RandomResizedCrop": _random_resized_crop,
    "RandomRotation": _rotation,
    "RandomSolarize": _sometimes(lambda arguments: Solarize(arguments["threshold"])),
    "RandomVerticalFlip": _sometimes(lambda arguments: Flip(-2)),
    "Resize": _resize,
    "TenCrop": _ten_crop,
    "ToDtype": _to_dtype,
    "TrivialAugmentWide": _trivial_augment,
    **dict.fromkeys(_PASSING, lambda arguments: Nothing()),
}
