"""ColorJitter, RandomPhotometricDistort and the adjustments they are made of, against torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import assert_eager_target_parity, assert_target_parity, make_boxes, make_picture_structure

from augserve_pipelines import Pipeline
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.kernels.color import shift_hue_reference
from augserve_pipelines.records import Record
from augserve_pipelines.transforms.adjust import (
    adjust_brightness_image,
    adjust_contrast_image,
    adjust_hue_image,
    adjust_saturation_image,
)
from augserve_pipelines.transforms.color import ColorJitter, Jitter, RandomPhotometricDistort
from oracle import tv_functional, v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, assert_same, channels_last, make_images

DTYPES = (torch.uint8, torch.float32)
ALL = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
WIDE = {"brightness": 1.5, "contrast": (0.0, 3.0), "saturation": [0.5, 4], "hue": (-0.5, 0.5)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ranges", [ALL, WIDE], ids=["usual", "wide"])
def test_all_four_adjustments_match(ranges, dtype):
    assert_parity(ColorJitter(**ranges), v2.ColorJitter(**ranges), make_images(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(ALL))
def test_each_adjustment_matches_alone(name, dtype):
    assert_parity(ColorJitter(**{name: WIDE[name]}), v2.ColorJitter(**{name: WIDE[name]}), make_images(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_channel_matches(dtype):
    assert_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), make_images(dtype, channels=1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floats_match(dtype):
    images = make_images(dtype, sizes=[(1, 1), (7, 13), (64, 64)])
    assert_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), images)


@pytest.mark.parametrize("arguments", [{}, {"brightness": 0}, {"hue": 0.0}, {"contrast": (1, 1), "hue": [0, 0]}])
def test_what_cannot_change_anything_draws_only_an_order(arguments):
    assert_parity(ColorJitter(**arguments), v2.ColorJitter(**arguments), make_images()[:3])


def test_ranges_that_touch_the_neutral_factor_are_drawn():
    ranges = {"brightness": (1.0, 1.0), "contrast": (0.5, 0.5), "saturation": (1, 2), "hue": (0, 0.25)}
    assert_parity(ColorJitter(**ranges), v2.ColorJitter(**ranges), make_images()[:8])


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    image = torch.zeros(channels, 4, 4, dtype=torch.uint8)
    assert_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), [image], SEEDS[:2])
    with pytest.raises(InvalidInput, match=f"ColorJitter takes images of 1 or 3 channels; got one of {channels}"):
        ColorJitter(hue=0.1)(image)


def test_leading_dimensions_share_a_draw_but_not_a_mean():
    image = torch.stack(make_images(sizes=[(64, 64)]))
    for seed in range(8):
        assert_eager_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), image, seed=seed)
        assert_eager_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), image.float() / 255, seed=seed)


def test_transposed_and_expanded_images_match():
    image = make_images(sizes=[(31, 64)])[0]
    for other in (image.mT, image[:1].expand(3, -1, -1), image[:, ::2, 1::3], image.flip(0)):
        for seed in range(8):
            assert_eager_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), other, seed=seed)


def test_the_input_is_left_alone():
    for image in (*make_images(sizes=[(64, 64)]), *make_images(torch.float32, sizes=[(64, 64)])):
        before = image.clone()
        ColorJitter(**WIDE)(image)
        assert torch.equal(image, before)


@pytest.mark.parametrize("lay", [torch.Tensor.contiguous, channels_last])
@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 1 / 3, 0.5])
def test_the_hue_of_every_color_matches(shift, lay):
    levels = torch.arange(0, 256, 5, dtype=torch.uint8)
    colors = lay(torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).view(3, len(levels), -1))
    assert_same(adjust_hue_image(colors, shift), tv_functional.adjust_hue_image(colors, shift), "bytes")
    floats = colors / 255
    assert_same(adjust_hue_image(floats, shift), tv_functional.adjust_hue_image(floats, shift), "floats")
    assert_same(shift_hue_reference(floats, shift), tv_functional.adjust_hue_image(floats, shift), "reference")


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.2])
def test_the_hue_of_odd_floats_matches(shift):
    values = torch.tensor([0.0, 1.0, 0.5, -1.0, 7.25, 3e38, -3e38, 1e-40, torch.inf, -torch.inf, torch.nan])
    colors = torch.stack(torch.meshgrid(values, values, values, indexing="ij")).view(3, len(values), -1)
    expected = tv_functional.adjust_hue_image(colors, shift)
    assert_same(adjust_hue_image(colors, shift), expected, "compiled")
    assert_same(shift_hue_reference(colors, shift), expected, "reference")


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 1e-7, 0.3, 1.0, 1 + 2**-23, 2.5, 255.0])
def test_extreme_factors_match(name, factor):
    ours = {
        "brightness": adjust_brightness_image,
        "contrast": adjust_contrast_image,
        "saturation": adjust_saturation_image,
    }[name]
    theirs = getattr(tv_functional, f"adjust_{name}_image")
    for dtype in DTYPES:
        for image in make_images(dtype, sizes=[(7, 13), (100, 150)]):
            assert_same(ours(image, factor), theirs(image, factor), f"{name} {factor} {dtype}")


def test_integers_beyond_bytes_match():
    image = torch.randint(0, 2**15, (3, 16, 16), dtype=torch.int16, generator=torch.Generator().manual_seed(0))
    for seed in range(8):
        assert_eager_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), image, seed=seed)


# The 26th of these bytes becomes 114 if the blend with their mean is a fused sum, 115 if it is rounded twice.
TELLING_FACTOR = 1.3752931356430054
TELLING_BYTES = [98, 99, 200, 84, 9, 200, 59, 178, 194, 11, 162, 10, 254, 101, 100, 113, 86, 44, 95, 140, 100, 165, 41]
TELLING_BYTES += [135, 83, 115, 239, 62, 250, 23]


@pytest.mark.parametrize("copies", [1, 2, 5, 16, 33])
def test_values_beside_full_vectors_round_as_torch_rounds_them(copies):
    image = torch.tensor(TELLING_BYTES * copies, dtype=torch.uint8).view(1, 1, -1)
    expected = tv_functional.adjust_contrast_image(image, TELLING_FACTOR)
    assert_same(adjust_contrast_image(image, TELLING_FACTOR), expected, f"{copies} copies")


# Of 60,000 seeds, those whose results tell how often torch rounds the values beside full vectors.
@pytest.mark.parametrize("seed", [9462, 57400])
def test_few_values_round_as_torch_rounds_them(seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (1, 1, 1 + seed % 33), dtype=torch.uint8, generator=generator)
    factor = float(torch.rand(1, generator=generator)) * 2
    assert_same(adjust_contrast_image(image, factor), tv_functional.adjust_contrast_image(image, factor), f"{seed}")


# Of as many seeds, those that tell whether values are counted as they lie or as torchvision's hue has laid them.
@pytest.mark.parametrize("seed", [7772, 10927, 16557, 34446, 49115])
def test_contrast_after_hue_counts_values_channel_by_channel(seed):
    generator = torch.Generator().manual_seed(seed)
    torch.randint(0, 256, (1, 1, 1 + seed % 33), generator=generator)
    factor = float(torch.rand(1, generator=generator)) * 2
    pixels = torch.randint(0, 256, (1, 5 + seed % 17, 3), dtype=torch.uint8, generator=generator)
    image, shift = pixels.permute(2, 0, 1), float(torch.rand(1, generator=generator)) - 0.5
    expected = tv_functional.adjust_contrast_image(tv_functional.adjust_hue_image(image, shift), factor)
    jitter = Jitter(np.array([[3, 1, 0, 2]]), np.array([[np.nan, factor, np.nan, shift]]))
    written = torch.empty(1, *image.shape, dtype=torch.uint8)
    jitter.write(image.unsqueeze(0), written)
    assert_same(jitter.image(image.unsqueeze(0))[0], expected, "as it lies")
    assert_same(written[0], expected, "written elsewhere")


def test_every_kind_of_input_matches():
    assert_target_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL))
    assert_target_parity(RandomPhotometricDistort(), v2.RandomPhotometricDistort())


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "HSV", "LA", "I", "F", "1", "P"])
def test_other_modes_of_pictures_match(mode):
    structure = make_picture_structure((7, 13), mode)
    for seed in range(4):
        assert_eager_target_parity(ColorJitter(**ALL), v2.ColorJitter(**ALL), structure, seed)
        ours, theirs = RandomPhotometricDistort(p=0.9), v2.RandomPhotometricDistort(p=0.9)
        assert_eager_target_parity(ours, theirs, structure, seed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_distortion_matches(p, dtype):
    images = make_images(dtype)[::2] + make_images(dtype, channels=1)[::4]
    assert_parity(RandomPhotometricDistort(p=p), v2.RandomPhotometricDistort(p=p), images, SEEDS[:12])


def ranges(low, high):
    numbers = st.floats(low, high, width=32)
    return st.tuples(numbers, numbers).map(sorted).map(tuple)


@settings(max_examples=12)
@given(ranges(0, 2), ranges(0, 3), ranges(0, 3), ranges(-0.5, 0.5), st.floats(0, 1))
def test_any_distortion_matches(brightness, contrast, saturation, hue, p):
    arguments = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue, "p": p}
    images = make_images(sizes=[(1, 1), (7, 13), (20, 30)])
    assert_parity(RandomPhotometricDistort(**arguments), v2.RandomPhotometricDistort(**arguments), images, SEEDS[:3])


def test_distortion_of_other_floats_matches():
    for dtype in (torch.float64, torch.float16):
        images = make_images(dtype, sizes=[(7, 13), (33, 30)])
        assert_parity(RandomPhotometricDistort(), v2.RandomPhotometricDistort(), images, SEEDS[:6])


def test_distortion_takes_other_channels_where_only_their_order_changes():
    images = [torch.arange(channels).view(-1, 1, 1).expand(-1, 3, 3).byte() for channels in (2, 3, 4, 5)]
    assert_parity(RandomPhotometricDistort(p=0.2), v2.RandomPhotometricDistort(p=0.2), images)


def test_distortion_needs_an_image():
    ours, theirs = RandomPhotometricDistort(), v2.RandomPhotometricDistort()
    assert isinstance(assert_eager_target_parity(ours, theirs, [make_boxes((8, 8))]), TypeError)


def test_a_record_lists_the_adjustments_in_their_order():
    image = make_images(sizes=[(20, 30)])[0]
    for step in (ColorJitter(**ALL), RandomPhotometricDistort(p=0.8)):
        for seed in range(6):
            result = Pipeline([step])([image], [seed], records=True)
            record = Record.from_json(result.records[0].to_json())
            replayed = image
            for call in record.calls:
                replayed = getattr(tv_functional, call.functional.name)(replayed, *call.arguments.values())
            assert_same(result[0], replayed, f"{[call.functional.name for call in record.calls]}")
            assert_same(record.replay(image), result[0], "replayed")
