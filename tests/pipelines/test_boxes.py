"""Kernels of bounding boxes and key points against torchvision's, to the last bit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_same
from torch import Tensor

from augserve_pipelines import tv_tensors as ours
from augserve_pipelines.kernels import boxes, keypoints
from augserve_pipelines.kernels.rotated_boxes import parallelograms_to_rectangles
from oracle import torchvision, tv_functional, tv_tensors

Format = tv_tensors.BoundingBoxFormat
UPRIGHT = (Format.XYXY, Format.XYWH, Format.CXCYWH)
ROTATED = (Format.XYWHR, Format.CXCYWHR, Format.XYXYXYXY)
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16)
MODES = ("soft", "hard", None)
CANVAS = (40, 60)
COUNTS = (0, 1, 2, 3, 17, 40)  # torch's loops take eight or sixteen floats at once, and those left over one by one

EVERY_FORMAT = [(format, dtype) for format in UPRIGHT for dtype in FLOATS + INTEGERS]
EVERY_FORMAT += [(format, dtype) for format in ROTATED for dtype in FLOATS]


def make_coordinates(format: Format, dtype: torch.dtype, count: int, seed: int) -> Tensor:
    """Random boxes, many of them partly outside, some all of it; every other time whole numbers and straight angles."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 100 - 25
    sizes = torch.rand(count, 2, generator=generator) * 50
    angles = torch.rand(count, 1, generator=generator) * 720 - 360
    if seed % 2:
        corners, sizes, angles = corners.round(), sizes.round(), (angles / 45).round() * 45
    if format in UPRIGHT:
        return _converted(torch.cat([corners, sizes], 1).to(dtype), Format.XYWH, format)
    return _converted(torch.cat([corners, sizes, angles], 1).to(dtype), Format.XYWHR, format)


def _converted(coordinates: Tensor, old: Format, new: Format) -> Tensor:
    return tv_functional.convert_bounding_box_format(coordinates, old_format=old, new_format=new).clone()


def ours_of(format: Format) -> ours.BoundingBoxFormat:
    return ours.BoundingBoxFormat(format)


@pytest.mark.parametrize(("format", "dtype"), EVERY_FORMAT)
def test_conversion(format: Format, dtype: torch.dtype) -> None:
    for target, count, seed in itertools.product(UPRIGHT if format in UPRIGHT else ROTATED, COUNTS, range(4)):
        given = make_coordinates(format, dtype, count, seed)
        before = given.clone()
        expected = _converted(given.clone(), format, target)
        actual = boxes.convert_bounding_box_format(given, ours_of(format), ours_of(target))
        assert_same(actual, expected, f"{format} to {target}, {count} boxes, seed {seed}")
        assert_same(given, before, "the input")


@pytest.mark.parametrize(("format", "dtype"), EVERY_FORMAT)
def test_conversion_in_place_writes_into_the_input_or_leaves_it(format: Format, dtype: torch.dtype) -> None:
    for target in UPRIGHT if format in UPRIGHT else ROTATED:
        given = make_coordinates(format, dtype, 5, 0)
        before = given.clone()
        expected = _converted(given.clone(), format, target)
        actual = boxes.convert_bounding_box_format(given, ours_of(format), ours_of(target), inplace=True)
        assert_same(actual, expected, f"{format} to {target}")
        if actual.shape == given.shape:
            assert actual is given
        else:
            assert_same(given, before, f"{format} to {target}: the input")


def test_leading_dimensions_are_kept() -> None:
    given = make_coordinates(Format.XYWHR, torch.float32, 6, 0)
    corners = boxes.convert_bounding_box_format(given.view(2, 3, 5), "XYWHR", "XYXYXYXY")
    assert_same(corners.view(6, 8), boxes.convert_bounding_box_format(given, "XYWHR", "XYXYXYXY"), "corners")
    clamped = boxes.clamp_bounding_boxes(given.view(2, 3, 5), "XYWHR", CANVAS, "soft")
    assert_same(clamped.view(6, 5), boxes.clamp_bounding_boxes(given, "XYWHR", CANVAS, "soft"), "clamped")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("format", "dtype"), EVERY_FORMAT)
def test_clamping(format: Format, dtype: torch.dtype, mode: str | None) -> None:
    for count, seed in itertools.product(COUNTS, range(4)):
        given = make_coordinates(format, dtype, count, seed)
        before = given.clone()
        expected = tv_functional.clamp_bounding_boxes(given.clone(), format, CANVAS, mode)
        actual = boxes.clamp_bounding_boxes(given, ours_of(format), CANVAS, mode)
        assert_same(actual, expected, f"{count} boxes, seed {seed}")
        assert_same(given, before, "the input")
        assert count == 0 or actual.data_ptr() != given.data_ptr()


NUMBERS = st.floats(-1e4, 1e4, width=32) | st.integers(-70, 70).map(float) | st.sampled_from([0.0, 40.0, 60.0, 1e-6])
BOXES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=9)


@settings(max_examples=150, deadline=None)
@given(rows=BOXES, format=st.sampled_from(UPRIGHT + ROTATED), mode=st.sampled_from(MODES))
def test_clamping_whatever_the_numbers(rows: list[tuple[float, ...]], format: Format, mode: str | None) -> None:
    given = torch.tensor(rows)
    given = given[:, :4] if format in UPRIGHT else _converted(given, Format.XYWHR, format)
    expected = tv_functional.clamp_bounding_boxes(given, format, CANVAS, mode)
    assert_same(boxes.clamp_bounding_boxes(given, ours_of(format), CANVAS, mode), expected, str(format))


@settings(max_examples=150, deadline=None)
@given(rows=BOXES, pair=st.sampled_from([*itertools.product(UPRIGHT, repeat=2), *itertools.product(ROTATED, repeat=2)]))
def test_conversion_whatever_the_numbers(rows: list[tuple[float, ...]], pair: tuple[Format, Format]) -> None:
    old, new = pair
    given = torch.tensor(rows)
    given = given[:, :4] if old in UPRIGHT else _converted(given, Format.XYWHR, old)
    actual = boxes.convert_bounding_box_format(given, ours_of(old), ours_of(new))
    assert_same(actual, _converted(given, old, new), str(pair))


@pytest.mark.parametrize("shape", [(0, 8), (1, 8), (13, 8), (40, 8), (2, 3, 8)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_parallelograms_become_rectangles(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    for seed in range(8):
        corners = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 80 - 10).to(dtype)
        corners[..., 6:] = corners[..., :2] + corners[..., 4:6] - corners[..., 2:4]
        expected = torchvision.transforms.v2.functional._geometry._parallelogram_to_bounding_boxes(corners.clone())
        assert_same(parallelograms_to_rectangles(corners), expected, f"seed {seed}")


@pytest.mark.parametrize(("min_size", "min_area"), [(1, 1), (0, 0), (9.5, 1), (1, 300), (3, 40)])
@pytest.mark.parametrize(("format", "dtype"), EVERY_FORMAT)
def test_sanitizing(format: Format, dtype: torch.dtype, min_size: float, min_area: float) -> None:
    kept = 0
    for count, seed in itertools.product(COUNTS, range(4)):
        given = make_coordinates(format, dtype, count, seed)
        expected, valid = tv_functional.sanitize_bounding_boxes(given, format, CANVAS, min_size, min_area)
        actual = boxes.sanitize_bounding_boxes(given, format.name.lower(), CANVAS, min_size, min_area)
        assert_same(actual[0], expected, f"{count} boxes, seed {seed}")
        assert_same(actual[1], valid, f"{count} boxes, seed {seed}")
        kept += int(valid.sum())
    assert kept


@pytest.mark.parametrize("shape", [(0, 2), (1, 2), (9, 2), (9, 3, 2), (9, 2, 3, 2)])
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_key_points(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    for seed in range(4):
        given = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 75 - 5).to(dtype)
        before = given.clone()
        clamped = keypoints.clamp_keypoints(given, CANVAS)
        assert_same(clamped, tv_functional.clamp_keypoints(given.clone(), CANVAS), f"seed {seed}")
        for actual, expected in zip(
            keypoints.sanitize_keypoints(given, CANVAS), tv_functional.sanitize_keypoints(given, CANVAS), strict=True
        ):
            assert_same(actual, expected, f"seed {seed}")
        assert_same(given, before, "the input")


def make_leaves(module: Any) -> tuple[Any, Any, Any]:
    """Boxes, key points and an image of ours or of torchvision's."""
    coordinates = make_coordinates(Format.CXCYWH, torch.float32, 9, 0)
    made = module.BoundingBoxes(coordinates, format="CXCYWH", canvas_size=CANVAS, clamping_mode=None)
    points = module.KeyPoints(coordinates[:, :2].clone(), canvas_size=CANVAS)
    return made, points, module.Image(torch.zeros(1, 2, 2))


@pytest.mark.parametrize("module", [ours, tv_tensors])
def test_metadata_come_from_boxes_and_go_on_with_them(module: Any) -> None:
    made, points, _ = make_leaves(module)
    expected, expected_points, _ = make_leaves(tv_tensors)

    def assert_as(actual: Any, wanted: Any) -> None:
        assert type(actual) is type(made if isinstance(wanted, tv_tensors.BoundingBoxes) else points)
        assert_same(actual.as_subclass(Tensor), wanted.as_subclass(Tensor), "coordinates")
        assert {name: str(value) for name, value in vars(actual).items()} == {
            name: str(value) for name, value in vars(wanted).items()
        }

    assert_as(
        boxes.convert_bounding_box_format(made, new_format="xyxy"),
        tv_functional.convert_bounding_box_format(expected, new_format="xyxy"),
    )
    for mode in ("auto", "soft", "hard", None):
        assert_as(
            boxes.clamp_bounding_boxes(made, clamping_mode=mode),  # type: ignore[arg-type]  # a str
            tv_functional.clamp_bounding_boxes(expected, clamping_mode=mode),
        )
    actual, valid = boxes.sanitize_bounding_boxes(made, min_size=3)
    wanted, wanted_valid = tv_functional.sanitize_bounding_boxes(expected, min_size=3)
    assert_as(actual, wanted)
    assert_same(valid, wanted_valid, "valid")
    assert_as(keypoints.clamp_keypoints(points), tv_functional.clamp_keypoints(expected_points))
    actual, valid = keypoints.sanitize_keypoints(points)
    wanted, wanted_valid = tv_functional.sanitize_keypoints(expected_points)
    assert_as(actual, wanted)
    assert_same(valid, wanted_valid, "valid")


def test_conversion_of_boxes_in_place_writes_into_them() -> None:
    made, _, _ = make_leaves(ours)
    converted = boxes.convert_bounding_box_format(made, new_format="XYXY", inplace=True)
    assert converted.data_ptr() == made.data_ptr()


@pytest.mark.parametrize("name", ["convert", "clamp", "sanitize", "clamp points", "sanitize points"])
@pytest.mark.parametrize("leaf", ["tensor", "boxes", "points", "image"])
@pytest.mark.parametrize("more", ["nothing", "format", "all", "mode"])
def test_metadata_are_wanted_and_refused_as_by_torchvision(name: str, leaf: str, more: str) -> None:
    def act(module: Any, functions: dict[str, Any], leaves: tuple[Any, Any, Any]) -> Any:
        given = dict(zip(("boxes", "points", "image"), leaves, strict=True), tensor=torch.zeros(1, 4))[leaf]
        format = {} if more == "nothing" else {"format": module.BoundingBoxFormat.XYXY}
        canvas = {"canvas_size": CANVAS} if more in ("all", "mode") else {}
        mode = {"clamping_mode": "soft"} if more == "mode" else {}
        arguments = {
            "convert": {"new_format": "XYWH", **({"old_format": format["format"]} if format else {})},
            "clamp": {**format, **canvas, **mode},
            "sanitize": {**format, **canvas},
        }
        return functions[name](given, **arguments.get(name, canvas))

    by_torchvision = {
        "convert": tv_functional.convert_bounding_box_format,
        "clamp": tv_functional.clamp_bounding_boxes,
        "sanitize": tv_functional.sanitize_bounding_boxes,
        "clamp points": tv_functional.clamp_keypoints,
        "sanitize points": tv_functional.sanitize_keypoints,
    }
    by_us = {
        "convert": boxes.convert_bounding_box_format,
        "clamp": boxes.clamp_bounding_boxes,
        "sanitize": boxes.sanitize_bounding_boxes,
        "clamp points": keypoints.clamp_keypoints,
        "sanitize points": keypoints.sanitize_keypoints,
    }
    try:
        act(tv_tensors, by_torchvision, make_leaves(tv_tensors))
    except (TypeError, ValueError) as error:
        with pytest.raises(TypeError if isinstance(error, TypeError) else ValueError):
            act(ours, by_us, make_leaves(ours))
    else:
        act(ours, by_us, make_leaves(ours))


def test_what_cannot_be_converted_is_refused() -> None:
    with pytest.raises(ValueError, match="XYXY to XYWHR"):
        boxes.convert_bounding_box_format(torch.zeros(1, 4), "XYXY", "XYWHR")
    with pytest.raises(TypeError, match="new_format"):
        boxes.convert_bounding_box_format(torch.zeros(1, 4), "XYXY")
    with pytest.raises(ValueError, match="XYZ"):
        boxes.convert_bounding_box_format(torch.zeros(1, 4), "XYXY", "XYZ")
    with pytest.raises(ValueError, match="firm"):
        boxes.clamp_bounding_boxes(torch.zeros(1, 4), "XYXY", CANVAS, "firm")  # type: ignore[arg-type]  # that is the point
