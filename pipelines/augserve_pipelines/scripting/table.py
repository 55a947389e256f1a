"""Which transform becomes which form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import PIL
import torch
from torch import nn

from augserve_pipelines.constraints import for_kind
from augserve_pipelines.scripting.blur import GaussianBlur
from augserve_pipelines.scripting.color import SHARPNESS, Adjust, ColorJitter, Grayscale, KeptGrayscale, Rgb
from augserve_pipelines.scripting.crop import CenterCrop, FiveCrop, RandomCrop, RandomResizedCrop, TenCrop
from augserve_pipelines.scripting.flip import Flip
from augserve_pipelines.scripting.form import Form, Nothing, Sometimes, Steps
from augserve_pipelines.scripting.pad import Pad
from augserve_pipelines.scripting.resize import PillowResize, Resize
from augserve_pipelines.scripting.tones import Autocontrast, Equalize, Invert, Posterize, Solarize
from augserve_pipelines.scripting.values import Cast, Erase, Linear, Normalize
from augserve_pipelines.scripting.warps import Elastic, Perspective, RandomAffine, RandomRotation

__all__ = ["FORMS", "SCRIPTABLE", "form_of", "scriptable"]

Arguments = Mapping[str, Any]

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
    name = type(transform).__name__
    form = form_of(transform) if name in SCRIPTABLE else None
    if form is None:
        raise RuntimeError(f"{name} cannot be scripted; these transforms can be: {', '.join(SCRIPTABLE)}")
    return form


def form_of(transform: nn.Module, **given: Any) -> nn.Module | None:
    """The form of a transform of this package; None where it has none.

    Args:
        transform: the transform.
        given: arguments that hold for it and its steps instead of their own, such as ``inplace``; and ``parity``,
            whose resize to reproduce.
    """
    kind = type(transform)
    ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    if not ours or kind.__name__ not in FORMS:
        return None
    own: Arguments = transform.arguments  # type: ignore[assignment]  # nn.Module says Tensor | Module
    return FORMS[kind.__name__]({"parity": "torchvision", **own, **given, "given": given})


def _nothing(arguments: Arguments) -> Form:
    return Nothing()


def _steps(arguments: Arguments) -> nn.Module | None:
    forms = [form_of(step, **arguments["given"]) for step in arguments["transforms"]]
    known = [form for form in forms if form is not None]
    return Steps(known) if len(known) == len(forms) else None


def _sometimes(build: Callable[[Arguments], nn.Module | None]) -> Callable[[Arguments], nn.Module | None]:
    def build_random(arguments: Arguments) -> nn.Module | None:
        form = build(arguments)
        return None if form is None else Sometimes(form, arguments["p"])

    return build_random


def _resize(arguments: Arguments) -> Form:
    size = arguments["size"]
    sides = () if size is None else (size,) if isinstance(size, int) else tuple(size)
    mode, max_size, antialias = _mode(arguments), arguments["max_size"], bool(arguments["antialias"])
    if arguments["parity"] == "pillow" and antialias and mode in ("bilinear", "bicubic"):
        return PillowResize(sides, mode, max_size, _PILLOW_MAY_GO_DOWN_FIRST)
    return Resize(sides, mode, max_size, antialias)


def _pad(arguments: Arguments) -> Form:
    return Pad(_sides(arguments["padding"]), _color(arguments) or [0.0], arguments["padding_mode"])


def _random_crop(arguments: Arguments) -> Form:
    sides, fill = _sides(arguments["padding"]), _color(arguments) or [0.0]
    return RandomCrop(_size(arguments), sides, arguments["pad_if_needed"], fill, arguments["padding_mode"])


def _random_resized_crop(arguments: Arguments) -> Form:
    scale, ratio = _pair(arguments["scale"]), _pair(arguments["ratio"])
    return RandomResizedCrop(_size(arguments), scale, ratio, _mode(arguments), bool(arguments["antialias"]))


def _affine(arguments: Arguments) -> Form:
    degrees, shear = _interval(arguments["degrees"]), arguments["shear"]
    return RandomAffine(
        (degrees[0], degrees[1]),
        arguments["translate"],
        arguments["scale"],
        () if shear is None else _interval(shear),
        _mode(arguments),
        _color(arguments),
        _center(arguments),
    )


def _rotation(arguments: Arguments) -> Form:
    degrees, expand = _interval(arguments["degrees"]), arguments["expand"]
    return RandomRotation((degrees[0], degrees[1]), _mode(arguments), expand, _center(arguments), _color(arguments))


def _elastic(arguments: Arguments) -> Form:
    return Elastic(_pair(arguments["alpha"]), _pair(arguments["sigma"]), _mode(arguments), _color(arguments))


def _jitter(arguments: Arguments) -> Form:
    limits = [_factors(arguments[name]) for name in ("brightness", "contrast", "saturation")]
    limits.append(_shifts(arguments["hue"]))
    return ColorJitter([pair is not None for pair in limits], [pair or (0.0, 0.0) for pair in limits])


def _erase(arguments: Arguments) -> Form:
    value = arguments["value"]
    numbers = () if isinstance(value, str) else (value,) if isinstance(value, int | float) else tuple(value)
    return Erase(_pair(arguments["scale"]), _pair(arguments["ratio"]), numbers, arguments["inplace"])


def _normalize(arguments: Arguments) -> Form:
    return Normalize(list(arguments["mean"]), list(arguments["std"]), arguments["inplace"])


def _to_dtype(arguments: Arguments) -> Form:
    dtype = for_kind(arguments["dtype"], torch.Tensor)
    return Nothing() if dtype is None else Cast(dtype, arguments["scale"])


def _size(arguments: Arguments) -> tuple[int, int]:
    size = arguments["size"]
    sides = (size,) if isinstance(size, int) else size
    return sides[0], sides[-1]


def _taps(arguments: Arguments) -> tuple[int, int]:
    across, down = _pair(arguments["kernel_size"])
    return int(across), int(down)


def _mode(arguments: Arguments) -> str:
    mode: str = arguments["interpolation"].value
    return mode


def _center(arguments: Arguments) -> list[float] | None:
    center = arguments["center"]
    return None if center is None else [float(center[0]), float(center[1])]


def _sides(padding: int | Sequence[int] | None) -> list[int]:
    """Left, top, right, bottom."""
    given = [padding] if isinstance(padding, int) else list(padding or [0])
    return given * (4 // len(given))


def _color(arguments: Arguments) -> list[float] | None:
    """What a Fill says for images."""
    color = for_kind(arguments["fill"], torch.Tensor)
    if color is None:
        return None
    return [float(color)] if isinstance(color, int | float) else [float(value) for value in color]


def _pair(value: float | Sequence[float]) -> tuple[float, float]:
    values = (value,) if isinstance(value, int | float) else value
    return float(values[0]), float(values[-1])


def _interval(value: float | Sequence[float]) -> tuple[float, ...]:
    return (-float(value), float(value)) if isinstance(value, int | float) else tuple(map(float, value))


def _factors(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = (max(0.0, 1.0 - value), 1.0 + value) if isinstance(value, int | float) else value
    return None if low == high == 1 else (float(low), float(high))


def _shifts(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = _interval(value)
    return None if low == high == 0 else (low, high)


FORMS: Mapping[str, Callable[[Arguments], nn.Module | None]] = {
    "CenterCrop": lambda arguments: CenterCrop(*_size(arguments)),
    "ColorJitter": _jitter,
    "Compose": _steps,
    "ConvertImageDtype": lambda arguments: Cast(arguments["dtype"], True),
    "ElasticTransform": _elastic,
    "FiveCrop": lambda arguments: FiveCrop(*_size(arguments)),
    "GaussianBlur": lambda arguments: GaussianBlur(_taps(arguments), _pair(arguments["sigma"])),
    "Grayscale": lambda arguments: Grayscale(arguments["num_output_channels"]),
    "Identity": _nothing,
    "LinearTransformation": lambda arguments: Linear(arguments["transformation_matrix"], arguments["mean_vector"]),
    "Normalize": _normalize,
    "Pad": _pad,
    "RGB": lambda arguments: Rgb(),
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
        lambda arguments: Perspective(arguments["distortion_scale"], _mode(arguments), _color(arguments))
    ),
    "RandomPosterize": _sometimes(lambda arguments: Posterize(arguments["bits"])),
    "RandomResizedCrop": _random_resized_crop,
    "RandomRotation": _rotation,
    "RandomSolarize": _sometimes(lambda arguments: Solarize(arguments["threshold"])),
    "RandomVerticalFlip": _sometimes(lambda arguments: Flip(-2)),
    "Resize": _resize,
    "TenCrop": lambda arguments: TenCrop(*_size(arguments), arguments["vertical_flip"]),
    "ToDtype": _to_dtype,
    "ToImage": _nothing,
}
