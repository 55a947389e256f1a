"""Change what pixels are stored as, standardise them, map them linearly, erase some of them."""

import math

import torch
from torch import Tensor

from augserve_pipelines.scripting.draws import integer, log_uniform, uniform
from augserve_pipelines.scripting.dtypes import numbers, to_dtype
from augserve_pipelines.scripting.form import Form
from augserve_pipelines.scripting.sizes import nearest

__all__ = ["Cast", "CastFloats", "Erase", "Linear", "Normalize"]


class Cast(Form):
    """Cast to a dtype; with ``scale``, to its value range too."""

    def __init__(self, dtype: torch.dtype, scale: bool) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        return to_dtype(image, self.dtype, self.scale)


class CastFloats(Form):
    """Cast floats to another dtype of floats; leave integers as they are."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return image.to(self.dtype) if image.is_floating_point() else image


class Normalize(Form):
    """See the transform."""

    def __init__(self, mean: list[float], std: list[float], inplace: bool) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, image: Tensor) -> Tensor:
        if not image.is_floating_point():
            raise TypeError("Normalize takes floats: ToDtype(float32, scale=True) goes before it")
        wanted = max(len(self.mean), len(self.std))
        if wanted != 1 and wanted != image.shape[-3]:
            raise ValueError(f"Normalize has values for {wanted} channels, and the image has {image.shape[-3]}")
        mean = numbers(self.mean, image.dtype, image.device).view(-1, 1, 1)
        std = numbers(self.std, image.dtype, image.device).view(-1, 1, 1)
        if self.inplace:
            return image.sub_(mean).div_(std)
        return image.sub(mean).div(std)


class Linear(Form):
    """LinearTransformation: the flattened image less a vector, times a matrix."""

    matrix: Tensor
    mean: Tensor

    def __init__(self, matrix: Tensor, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("mean", mean)

    def forward(self, image: Tensor) -> Tensor:
        count = image.shape[-3] * image.shape[-2] * image.shape[-1]
        if count != self.matrix.shape[0]:
            raise ValueError(f"LinearTransformation has values for {self.matrix.shape[0]} numbers, the image {count}")
        flat = image.reshape(-1, count) - self.mean
        return torch.mm(flat, self.matrix.to(flat.dtype)).reshape(image.shape)


class Erase(Form):
    """What RandomErasing does where it fires. ``value`` has no numbers where normal noise is put there."""

    def __init__(
        self,
        scale: tuple[float, float],
        ratio: tuple[float, float],
        value: tuple[float, ...],
        inplace: bool,
    ) -> None:
        super().__init__()
        self.scale = scale
        low, high = torch.log(torch.tensor(ratio)).tolist()
        self.log_ratio = (low, high)
        self.noise = not value
        self.value = list(value) or [0.0]
        self.inplace = inplace

    def forward(self, image: Tensor) -> Tensor:
        channels, rows, columns = image.shape[-3], image.shape[-2], image.shape[-1]
        if not self.noise and len(self.value) != 1 and len(self.value) != channels:
            raise ValueError(f"value has {len(self.value)} numbers for an image of {channels} channels")
        for _ in range(10):
            area = rows * columns * uniform(self.scale[0], self.scale[1])
            ratio = log_uniform(self.log_ratio[0], self.log_ratio[1])
            height, width = nearest(math.sqrt(area * ratio)), nearest(math.sqrt(area / ratio))
            if height < rows and width < columns:
                return self.erased(image, height, width)
        return image

    def erased(self, image: Tensor, height: int, width: int) -> Tensor:
        if self.noise:
            values = torch.empty([image.shape[-3], height, width]).normal_()
        else:
            values = torch.tensor(self.value).view(-1, 1, 1)
        top = integer(0, image.shape[-2] - height + 1)
        left = integer(0, image.shape[-1] - width + 1)
        erased = image if self.inplace else image.clone()
        erased.narrow(-2, top, height).narrow(-1, left, width).copy_(values)
        return erased

    def settled(self) -> None:
        return None
