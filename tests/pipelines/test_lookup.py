"""The compiled table lookup against torch's operations."""

from __future__ import annotations

import pytest
import torch
from parity import channels_last

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.kernels import resample
from augserve_pipelines.kernels.lookup import lookup_image, lookup_reference
from factories import make_image, make_noise


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (64, 80)])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("flip", [True, False])
def test_lookup_equals_its_reference(size: tuple[int, int], channels: int, dtype: torch.dtype, flip: bool) -> None:
    image = make_noise(size, channels=channels)
    table = (torch.rand(channels, 256) * 255).to(dtype)
    for layout in (image, channels_last(image)):
        out = torch.empty(image.shape, dtype=dtype)
        lookup_image(layout, table, flip, out)
        assert torch.equal(out, lookup_reference(image, table, flip))


def test_the_arithmetic_for_other_devices_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch does not resize uint8 in integers (GPUs, CPUs without AVX2), ours does."""
    images = [make_image((97, 61)), make_image((213, 160), name="coffee"), make_noise((20, 300))]
    steps = [T.RandomResizedCrop((40, 50), interpolation="bicubic"), T.Resize((90, 33), antialias=False)]
    native = Pipeline(steps)(images, range(3)).stack()
    monkeypatch.setattr(resample, "_has_native_uint8", lambda image, interpolation: False)
    assert torch.equal(Pipeline(steps)(images, range(3)).stack(), native)
