"""Random warps: affine maps, rotations, perspectives, elastic deformations."""

import torch
from torch import Tensor

from augserve_pipelines.scripting.blur import blur
from augserve_pipelines.scripting.draws import integer, uniform
from augserve_pipelines.scripting.form import Form
from augserve_pipelines.scripting.warp import affine, pixels, rotate, sampled

__all__ = ["Affine", "Elastic", "Perspective", "RandomAffine", "RandomRotation", "Rotate"]

Pair = tuple[float, float]


def perspective(
    image: Tensor, start: list[list[int]], end: list[list[int]], mode: str, fill: list[float] | None
) -> Tensor:
    """Map ``[..., C, H, W]`` so that the four points ``start``, [x, y] each, come to lie at ``end``."""
    height, width = image.shape[-2], image.shape[-1]
    dtype = image.dtype if image.is_floating_point() else torch.float32
    a = _coefficients(start, end)
    top = torch.tensor([[a[0], a[1], a[2]], [a[3], a[4], a[5]]], dtype=dtype, device=image.device)
    bottom = torch.tensor([[a[6], a[7], 1.0], [a[6], a[7], 1.0]], dtype=dtype, device=image.device)
    half = torch.tensor([0.5 * width, 0.5 * height], dtype=dtype, device=image.device)
    x = torch.linspace(0.5, width - 0.5, width, dtype=dtype, device=image.device)
    y = torch.linspace(0.5, height - 0.5, height, dtype=dtype, device=image.device)
    places = pixels(x, y)
    points = places.bmm(top.t().div(half).unsqueeze(0)).div(places.bmm(bottom.t().unsqueeze(0))).sub(1.0)
    return sampled(image, points.view(1, height, width, 2), mode, fill)


def _coefficients(start: list[list[int]], end: list[list[int]]) -> list[float]:
    """The eight of the projective map from ``end`` to ``start``, solved in float64 and rounded to float32."""
    matrix = torch.zeros(8, 8, dtype=torch.float64)
    target = torch.zeros(8, dtype=torch.float64)
    for place in range(4):
        (x, y), (u, v) = (end[place][0], end[place][1]), (start[place][0], start[place][1])
        matrix[2 * place] = torch.tensor([x, y, 1, 0, 0, 0, -u * x, -u * y], dtype=torch.float64)
        matrix[2 * place + 1] = torch.tensor([0, 0, 0, x, y, 1, -v * x, -v * y], dtype=torch.float64)
        target[2 * place], target[2 * place + 1] = u, v
    found = torch.linalg.lstsq(matrix, target.unsqueeze(1), driver="gels")[0].squeeze(1).to(torch.float32)
    return [float(found[place].item()) for place in range(8)]


class Affine(Form):
    """One affine map."""

    def __init__(
        self,
        angle: float,
        translate: Pair,
        scale: float,
        shear: Pair,
        mode: str,
        fill: list[float] | None,
        center: list[float] | None,
    ) -> None:
        super().__init__()
        self.angle = angle
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.mode = mode
        self.fill = fill
        self.center = center

    def forward(self, image: Tensor) -> Tensor:
        return affine(image, self.angle, self.translate, self.scale, self.shear, self.mode, self.fill, self.center)


class RandomAffine(Form):
    """See the transform. ``shear`` has no, two or four bounds."""

    def __init__(
        self,
        degrees: Pair,
        translate: Pair | None,
        scale: Pair | None,
        shear: tuple[float, ...],
        mode: str,
        fill: list[float] | None,
        center: list[float] | None,
    ) -> None:
        super().__init__()
        self.degrees = degrees
        self.moves = translate is not None
        self.translate = translate or (0.0, 0.0)
        self.scales = scale is not None
        self.scale = scale or (1.0, 1.0)
        self.shears = len(shear) // 2
        self.shear = [*shear, 0.0, 0.0, 0.0, 0.0][:4]
        self.mode = mode
        self.fill = fill
        self.center = center

    def forward(self, image: Tensor) -> Tensor:
        angle = uniform(self.degrees[0], self.degrees[1])
        right, down = 0.0, 0.0
        if self.moves:
            most = self.translate[0] * image.shape[-1]
            right = round(uniform(-most, most))
            most = self.translate[1] * image.shape[-2]
            down = round(uniform(-most, most))
        scale = uniform(self.scale[0], self.scale[1]) if self.scales else 1.0
        shear_x = uniform(self.shear[0], self.shear[1]) if self.shears > 0 else 0.0
        shear_y = uniform(self.shear[2], self.shear[3]) if self.shears > 1 else 0.0
        return affine(image, angle, (right, down), scale, (shear_x, shear_y), self.mode, self.fill, self.center)

    def settled(self) -> Form | None:
        (low, high), (least, most) = self.degrees, self.scale
        sheared = self.shear[0] != self.shear[1] or self.shear[2] != self.shear[3]
        if low != high or least != most or sheared or self.translate != (0.0, 0.0):
            return None
        angle, scale, x, y = torch.tensor([low, least, self.shear[0], self.shear[2]]).tolist()  # as drawn: float32
        return Affine(angle, (0.0, 0.0), scale, (x, y), self.mode, self.fill, self.center)


class Rotate(Form):
    """One rotation."""

    def __init__(
        self, angle: float, mode: str, expand: bool, center: list[float] | None, fill: list[float] | None
    ) -> None:
        super().__init__()
        self.angle = angle
        self.mode = mode
        self.expand = expand
        self.center = center
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        return rotate(image, self.angle, self.mode, self.expand, self.center, self.fill)


class RandomRotation(Form):
    """See the transform."""

    def __init__(
        self, degrees: Pair, mode: str, expand: bool, center: list[float] | None, fill: list[float] | None
    ) -> None:
        super().__init__()
        self.degrees = degrees
        self.mode = mode
        self.expand = expand
        self.center = center
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        angle = uniform(self.degrees[0], self.degrees[1])
        return rotate(image, angle, self.mode, self.expand, self.center, self.fill)

    def settled(self) -> Form | None:
        low, high = self.degrees
        turns = self.center is None and low % 90 == 0
        if low != high or (self.expand and not turns):
            return None
        return Rotate(float(torch.tensor(low)), self.mode, self.expand, self.center, self.fill)  # as drawn: float32


class Perspective(Form):
    """What RandomPerspective does where it fires."""

    def __init__(self, distortion_scale: float, mode: str, fill: list[float] | None) -> None:
        super().__init__()
        self.distortion_scale = distortion_scale
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        across = int(self.distortion_scale * (width // 2)) + 1
        down = int(self.distortion_scale * (height // 2)) + 1
        top_left = [integer(0, across), integer(0, down)]
        top_right = [integer(width - across, width), integer(0, down)]
        bottom_right = [integer(width - across, width), integer(height - down, height)]
        bottom_left = [integer(0, across), integer(height - down, height)]
        start = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return perspective(image, start, [top_left, top_right, bottom_right, bottom_left], self.mode, self.fill)

    def settled(self) -> None:
        return None


class Elastic(Form):
    """What ElasticTransform does. ``alpha`` and ``sigma`` are across and down."""

    def __init__(self, alpha: Pair, sigma: Pair, mode: str, fill: list[float] | None) -> None:
        super().__init__()
        self.alpha = alpha
        self.sigma = sigma
        self.mode = mode
        self.fill = fill

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        dx = self.noise(height, width, self.sigma[0]) * self.alpha[0] / width
        dy = self.noise(height, width, self.sigma[1]) * self.alpha[1] / height
        shift = torch.cat([dx, dy], 1).permute(0, 2, 3, 1)
        dtype = image.dtype if image.is_floating_point() and image.dtype != torch.float16 else torch.float32
        x = torch.linspace((1 - width) / width, (width - 1) / width, width, dtype=dtype, device=image.device)
        y = torch.linspace((1 - height) / height, (height - 1) / height, height, dtype=dtype, device=image.device)
        places = pixels(x, y).view(1, height, width, 3)[..., :2]
        return sampled(image, places + shift.to(image.device).to(dtype), self.mode, self.fill)

    def noise(self, height: int, width: int, sigma: float) -> Tensor:
        values = torch.rand(1, 1, height, width) * 2 - 1
        if sigma <= 0.0:
            return values
        taps = int(8 * sigma + 1)
        taps += 1 - taps % 2
        return blur(values, (taps, taps), self.sigma)

    def settled(self) -> None:
        return None
