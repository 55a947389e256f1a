"""Every transform of colours under random parameters, against torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augserve_pipelines import transforms
from factories import make_image, make_noise
from oracle import v2
from pipelines.parity import assert_parity, channels_last

Strategy = st.SearchStrategy[Any]


def ranges(low: float, high: float) -> Strategy:
    """[low, high] within these."""
    return st.lists(st.floats(low, high, width=32), min_size=2, max_size=2).map(sorted)


def odd(greatest: int) -> Strategy:
    return st.integers(0, greatest // 2).map(lambda half: 2 * half + 1)


SHARES = st.floats(0, 1)
FACTORS = st.none() | st.floats(0, 3) | ranges(0, 4)
HUES = st.none() | st.floats(0, 0.5) | ranges(-0.5, 0.5)
PARAMETERS: Mapping[str, Mapping[str, Strategy]] = {
    "ColorJitter": {"brightness": FACTORS, "contrast": FACTORS, "saturation": FACTORS, "hue": HUES},
    "GaussianBlur": {"kernel_size": odd(9) | st.lists(odd(9), min_size=2, max_size=2), "sigma": ranges(2**-6, 9)},
    "GaussianNoise": {"mean": st.floats(-1, 1), "sigma": SHARES, "clip": st.booleans()},
    "Grayscale": {"num_output_channels": st.sampled_from([1, 3])},
    "RandomAdjustSharpness": {"sharpness_factor": st.floats(0, 9), "p": SHARES},
    "RandomAutocontrast": {"p": SHARES},
    "RandomChannelPermutation": {},
    "RandomEqualize": {"p": SHARES},
    "RandomGrayscale": {"p": SHARES},
    "RandomInvert": {"p": SHARES},
    "RandomPhotometricDistort": {"contrast": ranges(0, 3), "hue": ranges(-0.5, 0.5), "p": SHARES},
    "RandomPosterize": {"bits": st.integers(0, 8), "p": SHARES},
    "RandomSolarize": {"threshold": st.floats(0, 1), "p": SHARES},
    "RGB": {},
}


@pytest.mark.parametrize("name", PARAMETERS)
@settings(max_examples=6)
@given(data=st.data())
def test_any_parameters_give_the_same(name: str, data: st.DataObject) -> None:
    arguments = {key: data.draw(strategy, key) for key, strategy in PARAMETERS[name].items()}
    size = data.draw(st.tuples(st.integers(5, 40), st.integers(5, 40)), "size")
    channels = data.draw(st.sampled_from([1, 3]), "channels")
    photograph, noise = make_image(size, channels=channels), make_noise(size, channels=channels)
    images = [photograph, channels_last(noise), photograph / 255, channels_last(noise / 255)]
    images += [(photograph / 255).to(dtype) for dtype in (torch.float64, torch.float16)]
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=2, unique=True), "seeds")
    assert_parity(getattr(transforms, name)(**arguments), getattr(v2, name)(**arguments), images, seeds)
