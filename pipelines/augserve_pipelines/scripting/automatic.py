"""The augmentations that are picked from a list: AutoAugment, RandAugment, TrivialAugmentWide, AugMix."""

import math

import torch
from torch import Tensor

from augserve_pipelines.scripting.channels import check_channels
from augserve_pipelines.scripting.color import adjust, adjust_sharpness
from augserve_pipelines.scripting.draws import integer
from augserve_pipelines.scripting.dtypes import max_value
from augserve_pipelines.scripting.form import Form, Nothing
from augserve_pipelines.scripting.tones import autocontrast, equalize, invert, posterize, solarize
from augserve_pipelines.scripting.warp import affine, rotate

__all__ = ["AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide"]

Fill = list[float] | None


def augmented(image: Tensor, operation: str, magnitude: float, mode: str, fill: Fill) -> Tensor:
    """An image after one of the operations, by its name."""
    if operation == "Identity":
        return image
    if operation == "ShearX" or operation == "ShearY":
        shear = math.degrees(math.atan(magnitude))
        shears = (shear, 0.0) if operation == "ShearX" else (0.0, shear)
        return affine(image, 0.0, (0.0, 0.0), 1.0, shears, mode, fill, [0.0, 0.0])
    if operation == "TranslateX" or operation == "TranslateY":
        shift = float(int(magnitude))
        shifts = (shift, 0.0) if operation == "TranslateX" else (0.0, shift)
        return affine(image, 0.0, shifts, 1.0, (0.0, 0.0), mode, fill, None)
    if operation == "Rotate":
        return rotate(image, magnitude, mode, False, None, fill)
    return recolored(image, operation, magnitude)


def recolored(image: Tensor, operation: str, magnitude: float) -> Tensor:
    """An image after one of the operations on colours."""
    if operation == "Posterize":
        return posterize(image, int(magnitude))
    if operation == "Solarize":
        return solarize(image, max_value(image.dtype) * magnitude)
    if operation == "Equalize":
        return equalize(image)
    if operation == "Invert":
        return invert(image)
    check_channels(image)
    if operation == "AutoContrast":
        return autocontrast(image)
    if operation == "Sharpness":
        return adjust_sharpness(image, 1.0 + magnitude)
    what = 0 if operation == "Brightness" else 1 if operation == "Contrast" else 2  # Color
    return adjust(image, what, 1.0 + magnitude)


def has_magnitude(operation: str) -> bool:
    return operation not in ["Identity", "AutoContrast", "Equalize", "Invert"]


def is_signed(operation: str) -> bool:
    return has_magnitude(operation) and operation not in ["Posterize", "Solarize"]


def magnitude_of(operation: str, space: str, bins: int, place: int, height: int, width: int) -> float:
    """Magnitude ``place`` of ``bins`` in a search space: ``usual``, ``wide`` or ``mixed``."""
    if operation == "Posterize":
        first = 4.0 if space == "mixed" else 8.0
        lost = 6.0 if space == "wide" else 4.0
        return float((first - torch.arange(bins) / ((bins - 1) / lost)).round()[place].item())
    if operation == "Solarize":
        return float(torch.linspace(1.0, 0.0, bins)[place].item())
    return float(torch.linspace(0.0, greatest(operation, space, height, width), bins)[place].item())


def greatest(operation: str, space: str, height: int, width: int) -> float:
    if operation == "TranslateX" or operation == "TranslateY":
        side = width if operation == "TranslateX" else height
        return 32.0 if space == "wide" else side / 3.0 if space == "mixed" else 150.0 / 331.0 * side
    if operation == "Rotate":
        return 135.0 if space == "wide" else 30.0
    if space == "wide":
        return 0.99
    return 0.3 if operation == "ShearX" or operation == "ShearY" else 0.9


def with_sign(operation: str, magnitude: float) -> float:
    """The magnitude, negated half of the time where the operation has a direction."""
    if is_signed(operation) and bool(torch.rand(1) <= 0.5):
        return -magnitude
    return magnitude


def column(values: Tensor, dims: int) -> Tensor:
    """One value for each image of a batch, as a tensor of so many dimensions."""
    for _ in range(dims - 1):
        values = values.unsqueeze(-1)
    return values


class AutoAugment(Form):
    """See the transform. A policy is two triples: operation, probability, and magnitude (any where it has none)."""

    def __init__(self, policies: list[list[tuple[str, float, int]]], mode: str, fill: Fill) -> None:
        super().__init__()
        self.policies = policies
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        for operation, p, place in self.policies[integer(0, len(self.policies))]:
            if bool(torch.rand(1) <= p):
                magnitude = 0.0
                if has_magnitude(operation):
                    magnitude = magnitude_of(operation, "usual", 10, place, height, width)
                    magnitude = with_sign(operation, magnitude)
                image = augmented(image, operation, magnitude, self.mode, self.fill)
        return image

    def settled(self) -> None:
        return None


class RandAugment(Form):
    """See the transform."""

    def __init__(self, operations: list[str], num_ops: int, magnitude: int, bins: int, mode: str, fill: Fill) -> None:
        super().__init__()
        self.operations = operations
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.bins = bins
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        for _ in range(self.num_ops):
            operation = self.operations[integer(0, len(self.operations))]
            magnitude = 0.0
            if has_magnitude(operation):
                magnitude = magnitude_of(operation, "usual", self.bins, self.magnitude, height, width)
                magnitude = with_sign(operation, magnitude)
            image = augmented(image, operation, magnitude, self.mode, self.fill)
        return image

    def settled(self) -> Form | None:
        return Nothing() if self.num_ops == 0 else None


class TrivialAugmentWide(Form):
    """See the transform."""

    def __init__(self, operations: list[str], bins: int, mode: str, fill: Fill) -> None:
        super().__init__()
        self.operations = operations
        self.bins = bins
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        operation = self.operations[integer(0, len(self.operations))]
        magnitude = 0.0
        if has_magnitude(operation):
            place = integer(0, self.bins)
            magnitude = magnitude_of(operation, "wide", self.bins, place, image.shape[-2], image.shape[-1])
            magnitude = with_sign(operation, magnitude)
        return augmented(image, operation, magnitude, self.mode, self.fill)

    def settled(self) -> None:
        return None


class AugMix(Form):
    """See the transform."""

    def __init__(
        self,
        operations: list[str],
        severity: int,
        mixture_width: int,
        chain_depth: int,
        alpha: float,
        mode: str,
        fill: Fill,
    ) -> None:
        super().__init__()
        self.operations = operations
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        batch = image if image.ndim >= 4 else image.unsqueeze(0)
        kept = self.weights(2, batch)
        weights = self.weights(self.mixture_width, batch) * kept[:, 1].unsqueeze(1)
        mix = column(kept[:, 0], batch.ndim) * batch
        for chain in range(self.mixture_width):
            mix = mix + column(weights[:, chain], batch.ndim) * self.chain(batch)
        return mix.reshape(image.shape).to(image.dtype)

    def weights(self, columns: int, batch: Tensor) -> Tensor:
        alphas = torch.tensor([self.alpha] * columns, device=batch.device)
        return torch._sample_dirichlet(alphas.expand(batch.shape[0], -1))

    def chain(self, image: Tensor) -> Tensor:
        depth = self.chain_depth if self.chain_depth > 0 else integer(1, 4)
        for _ in range(depth):
            operation = self.operations[integer(0, len(self.operations))]
            magnitude = 0.0
            if has_magnitude(operation):
                place = integer(0, self.severity)
                magnitude = magnitude_of(operation, "mixed", 10, place, image.shape[-2], image.shape[-1])
                magnitude = with_sign(operation, magnitude)
            image = augmented(image, operation, magnitude, self.mode, self.fill)
        return image

    def settled(self) -> None:
        return None
