"""Records that would make much of little: they are refused before anything is decoded, and in words of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from clips import make_animation, make_frames
from factories import make_file
from serving import Live, run_server

MOST = 1_000_000
ROTATE = ["rotate", [["angle", 45.0], ["expand", True]]]

Parts = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(max_image_pixels=MOST, queue_megapixels=20) as server:
        yield server


def record(size: tuple[int, int], *operations: Mapping[str, Any]) -> bytes:
    return json.dumps({"version": 1, "input_size": size, "operations": operations}).encode()


def operation(name: str, /, *kinds: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments, **({"kinds": kinds} if kinds else {})}


def mixed(*steps: Any) -> dict[str, Any]:
    return operation("mix_chains", weights=[[0.5, 0.5]], chains=[list(steps)])


def masks(count: int) -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.zeros((count, 1, 1), np.uint8))
    return buffer.getvalue()


def post(live: Live, **named: bytes) -> httpx.Response:
    return httpx.post(f"{live.url}/v1/replay", files=[(name, (name, data)) for name, data in named.items()], timeout=30)


IMAGE = make_file("PNG", (10, 10))
WINDOW = {"top": 0, "left": 0, "size": [5, 5]}

COSTLY: Mapping[str, tuple[Mapping[str, bytes], int, str]] = {
    "a window in the void": (
        {"image": IMAGE, "record": record((10, 10), operation("resized_crop", height=10**9, width=1, **WINDOW))},
        422,
        "resized_crop makes 5000000000 pixels on its way; at most 4000000 are allowed",
    ),
    "one side after the other": (
        {
            "image": IMAGE,
            "record": record((10, 10), *(operation("resize", size=one) for one in ([999, 9], [9, 99999]))),
        },
        422,
        "resize makes 99899001 pixels on its way",
    ),
    "a blur of what has grown for images alone": (
        {
            "image": IMAGE,
            "record": record(
                (10, 10),
                operation("resize", "Image", size=[999, 999]),
                operation("gaussian_blur", kernel_size=[401, 401], sigma=9.0),
            ),
        },
        422,
        "products of this sample",
    ),
    "many operations in chains": (
        {
            "image": IMAGE,
            "record": record((10, 10), *[operation("resize", size=[999, 999]), mixed(*[["equalize", []]] * 1000)] * 2),
        },
        422,
        "adds up 299400300000 products",
    ),
    "many masks that grow": (
        {"masks": masks(1000), "record": record((1, 1), *(operation("resize", size=[own, own]) for own in (999, 1)))},
        413,
        "",
    ),
    "many frames that grow": (
        {
            "clip": make_animation("PNG", make_frames(2, (10, 10))),
            "record": record(
                (10, 10),
                operation("uniform_temporal_subsample", num_samples=200),
                *(operation("resize", size=[own, own]) for own in (999, 1)),
            ),
        },
        413,
        "",
    ),
    "ten crops that grow": (
        {
            "image": make_file("PNG", (10, 10)),
            "record": record(
                (10, 10),
                operation("ten_crop", size=[9, 9]),
                *(operation("resize", size=[own, own]) for own in (999, 1)),
                *(operation("resize", size=[own, own]) for own in (1000, 1)),
            ),
        },
        200,
        "",
    ),
}


@pytest.mark.parametrize("case", COSTLY)
def test_what_a_replay_would_hold_and_do_is_bounded(live: Live, case: str) -> None:
    given, status, words = COSTLY[case]
    before = live.metric("decoded_images_total")
    response = post(live, **given)
    assert (response.status_code, words in response.text) == (status, True), response.text[:500]
    assert status == 200 or live.metric("decoded_images_total") == before


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([ROTATE] * 30, "; the image is of [3, 10, 10]"),
        ([3], "mix_chains.chains: 0.0: Input should be"),
        (["solarize"], "no operation of AugMix"),
        ([["solarize", [3]]], "solarize of AugMix: arguments are a list of [name, value]"),
        ([["solarize", [["threshold", {"dtype": "uint8"}]]]], "solarize of AugMix.threshold: Input should be"),
        ([["solarize", []]], "solarize of AugMix: missing a required argument: 'threshold'"),
    ],
)
def test_chains_of_a_record_are_checked(live: Live, steps: Any, words: str) -> None:
    response = post(live, image=IMAGE, record=record((10, 10), mixed(*steps)))
    assert response.status_code == 422
    assert words in response.json()["detail"]


def test_what_only_a_library_has_words_for_is_refused_in_ours(live: Live) -> None:
    floats = operation("to_dtype", dtype={"dtype": "float32"}, scale=True)
    response = post(
        live, image=IMAGE, record=record((10, 10), floats, operation("normalize", mean=[0.5, 1], std=[1, 1]))
    )
    assert response.status_code == 422
    assert response.json()["detail"] == "the record is refused: normalize cannot be replayed with these arguments"
