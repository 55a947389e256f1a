"""The integer resize against torch's own and against Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels import resample
from augserve_pipelines.kernels.resample import resample_image, resize_uint8
from factories import make_image, make_noise
from oracle import tv_functional

SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS)
WAYS = [(mode, antialias) for mode in SMOOTH for antialias in (True, False)][:-1]  # lanczos is antialiased only
PILLOW = {
    InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    InterpolationMode.LANCZOS: Image.Resampling.LANCZOS,
}
sides = st.integers(1, 90)
sizes = st.tuples(sides, sides)


@pytest.mark.parametrize(("interpolation", "antialias"), WAYS)
@given(size=sizes, target=sizes, seed=st.integers(0, 9))
@settings(max_examples=80)
def test_integer_arithmetic_gives_torchs_bytes(
    interpolation: InterpolationMode, antialias: bool, size: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    image = make_noise(size, seed=seed).unsqueeze(0)
    ours = resize_uint8(image, target, interpolation, antialias, "torchvision")
    pixels = image.contiguous(memory_format=torch.channels_last)
    torchs = F.interpolate(pixels, target, mode=interpolation.value, align_corners=False, antialias=antialias)
    assert torch.equal(ours, torchs)


@pytest.mark.parametrize("interpolation", SMOOTH)
@given(size=sizes, target=sizes, seed=st.integers(0, 9))
@settings(max_examples=80)
def test_integer_arithmetic_gives_pillows_bytes(
    interpolation: InterpolationMode, size: tuple[int, int], target: tuple[int, int], seed: int
) -> None:
    image = make_noise(size, seed=seed)
    ours = resize_uint8(image.unsqueeze(0), target, interpolation, True, "pillow")[0]
    assert torch.equal(ours, _pillow(image, target, interpolation))


@pytest.mark.parametrize("size", [(224, 224), (1, 1), (31, 700), (64, 80)])
@pytest.mark.parametrize("interpolation", SMOOTH)
def test_photographs_are_resized_as_pillow_does(interpolation: InterpolationMode, size: tuple[int, int]) -> None:
    for channels in (1, 3):
        image = make_image((333, 500), channels=channels)
        assert torch.equal(
            resample_image(image, size, interpolation, parity="pillow"), _pillow(image, size, interpolation)
        )


@pytest.mark.parametrize("interpolation", SMOOTH)
def test_floats_are_resized_as_pillow_does(interpolation: InterpolationMode) -> None:
    image = make_image((97, 61), torch.float32)
    planes = [Image.fromarray(plane.numpy()).resize((40, 130), PILLOW[interpolation]) for plane in image]
    expected = torch.from_numpy(np.stack([np.array(plane) for plane in planes]))
    assert torch.equal(resample_image(image, (130, 40), interpolation, parity="pillow"), expected)


def test_parities_differ_on_photographs() -> None:
    image = make_image((333, 500))
    assert not torch.equal(resample_image(image, (224, 224)), resample_image(image, (224, 224), parity="pillow"))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.int32, torch.uint16]
)
@pytest.mark.parametrize(
    ("interpolation", "antialias"),
    [*WAYS, (InterpolationMode.NEAREST, True), (InterpolationMode.NEAREST_EXACT, False)],
)
def test_other_dtypes_give_torchvisions_bytes(
    dtype: torch.dtype, interpolation: InterpolationMode, antialias: bool
) -> None:
    image = make_image((50, 77), torch.float32)
    image = image.to(dtype) if dtype.is_floating_point else (image * 3000).to(dtype)
    expected = tv_functional.resize_image(image, [33, 90], interpolation.value, antialias=antialias)
    assert torch.equal(resample_image(image, (33, 90), interpolation, antialias), expected)


def test_leading_dimensions_are_kept() -> None:
    image = torch.stack([make_image((50, 77)), make_noise((50, 77))]).unsqueeze(1)
    resized = resample_image(image, (20, 30))
    assert resized.shape == (2, 1, 3, 20, 30)
    assert torch.equal(resized[1, 0], resample_image(image[1, 0], (20, 30)))


def test_images_without_pixels_keep_their_dimensions() -> None:
    assert resample_image(torch.zeros(0, 3, 5, 6), (20, 30)).shape == (0, 3, 20, 30)


@pytest.mark.parametrize("interpolation", [InterpolationMode.BOX, InterpolationMode.HAMMING])
def test_modes_of_pil_images_are_refused(interpolation: InterpolationMode) -> None:
    with pytest.raises(InvalidInput, match="is for PIL images; tensors take nearest, nearest-exact, bilinear, bicubic"):
        resample_image(make_noise((5, 6)), (7, 8), interpolation)


def test_lanczos_is_antialiased_only() -> None:
    with pytest.raises(InvalidInput, match="antialias must be true"):
        resample_image(make_noise((5, 6)), (7, 8), InterpolationMode.LANCZOS, antialias=False)


def test_lanczos_of_floats_needs_a_torch_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_noise((50, 60))
    expected = resample_image(image, (20, 31), InterpolationMode.LANCZOS)
    monkeypatch.setattr(resample, "_knows_lanczos", lambda: False)
    assert torch.equal(resample_image(image, (20, 31), InterpolationMode.LANCZOS), expected)
    with pytest.raises(InvalidInput, match=r"resizes uint8 here, not torch\.float32 on cpu"):
        resample_image(image.float(), (20, 31), InterpolationMode.LANCZOS)


@pytest.mark.parametrize(("image", "size"), [(torch.zeros(5, 6), (3, 3)), (torch.zeros(3, 5, 6), (0, 3))])
def test_what_cannot_be_resized(image: Tensor, size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="at least"):
        resample_image(image, size)


def _pillow(image: Tensor, size: tuple[int, int], interpolation: InterpolationMode) -> Tensor:
    pixels = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if len(image) == 1 else pixels))
    resized = torch.from_numpy(np.array(picture.resize((size[1], size[0]), PILLOW[interpolation])))
    return resized.unsqueeze(0) if resized.ndim == 2 else resized.permute(2, 0, 1)
