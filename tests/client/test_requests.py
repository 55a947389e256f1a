from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augserve import InvalidInput
from augserve.parcels import PART_OVERHEAD_BYTES, read_parcel
from augserve.requests import (
    Call,
    Request,
    build_describe,
    build_form,
    deadline_header,
    plan,
    split,
)
from augserve.wire import SAFETENSORS, SEED_LIMIT


def build(call: Call, *images: bytes) -> Request:
    return build_form(call, [read_parcel(image) for image in images], range(len(images)))


@given(
    sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=60),
    images_per_request=st.integers(1, 20),
    bytes_per_request=st.integers(1, 3000),
)
def test_a_split_keeps_every_image_once_in_order_and_within_its_limits(
    sizes: list[int], images_per_request: int, bytes_per_request: int
) -> None:
    portions = split(sizes, images_per_request, bytes_per_request)
    assert [i for portion in portions for i in portion] == list(range(len(sizes)))
    for portion in portions:
        assert 1 <= len(portion) <= images_per_request
        assert len(portion) == 1 or sum(sizes[i] for i in portion) <= bytes_per_request


@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=60), images=st.integers(1, 20))
def test_a_split_has_no_more_requests_than_it_must(sizes: list[int], images: int) -> None:
    portions = split(sizes, images, 2000)
    for portion, following in pairwise(portions):
        full = len(portion) == images or sum(sizes[i] for i in portion) + sizes[following.start] > 2000
        assert full


@given(
    count=st.integers(1, 40),
    size=st.integers(0, 500),
    bytes_per_request=st.integers(2 * PART_OVERHEAD_BYTES, 8000),
)
def test_a_planned_body_is_never_over_its_limit(count: int, size: int, bytes_per_request: int) -> None:
    parcels = [read_parcel(bytes(size))] * count
    call = Call("pipeline", seed=1)
    for portion in plan(call, parcels, 100, bytes_per_request):
        if len(portion) > 1:
            assert len(build_form(call, parcels, portion).body) <= bytes_per_request


@pytest.mark.parametrize(("views", "images"), [(None, 64), (1, 64), (4, 64), (5, 51), (64, 4)])
def test_views_make_requests_of_fewer_images(views: int | None, images: int) -> None:
    parcels = [read_parcel(b"1")] * 200
    assert plan(Call("pipeline", views=views), parcels, 64, 10**9)[0] == range(images)


def test_more_images_to_a_request_are_as_many_as_was_said() -> None:
    parcels = [read_parcel(b"1")] * 1000
    assert plan(Call("pipeline"), parcels, 500, 10**9)[0] == range(500)
    assert plan(Call("pipeline", views=2), parcels, 500, 10**9)[0] == range(250)


def test_each_request_has_the_seed_of_its_first_result() -> None:
    parcels = [read_parcel(b"1")] * 10
    call = Call("pipeline", seed=7, views=3)
    params = [build_form(call, parcels, portion).params for portion in (range(4), range(4, 8), range(8, 10))]
    assert [p["seed"] for p in params] == ["7", "19", "31"]
    assert {p["views"] for p in params} == {"3"}


def test_a_seed_that_is_not_given_is_drawn_once_for_the_call() -> None:
    calls = [Call.of("pipeline", "numpy", None) for _ in range(20)]
    assert len({call.seed for call in calls}) == 20
    assert all(0 <= call.seed < 2**32 for call in calls)
    assert Call.of("pipeline", "numpy", 0).seed == 0


def test_one_image_is_the_body() -> None:
    request = build(Call("pipeline", seed=1), b"one")
    assert request.body == b"one"
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert request.path == "/v1/augment/pipeline"


def test_several_samples_are_a_form_where_they_are_no_tensors() -> None:
    images = [b"one\r\n--", b"", b"\x00\xff" * 100]
    request = build(Call("pipeline", seed=1), *images)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = list(BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts())
    assert [part.get_param("name", header="content-disposition") for part in parts] == [f"image[{i}]" for i in range(3)]
    assert all(image in request.body for image in images)
    assert len(parts) == 3


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert set(build(Call("pipeline", seed=1), b"1").params) == {"seed", "views"}
    call = Call("pipeline", "bytes", seed=1, dtype="float16", media_type="image/webp", quality=80)
    assert build(call, b"1").params == {"seed": "1", "views": "1", "dtype": "float16", "quality": "80"}


@pytest.mark.parametrize(
    ("call", "accept"),
    [
        (Call("pipeline"), SAFETENSORS),
        (Call("pipeline", "torch"), SAFETENSORS),
        (Call("pipeline", "bytes"), "*/*"),
        (Call("pipeline", "bytes", media_type="image/png"), "image/png"),
    ],
)
def test_arrays_and_tensors_come_exactly_and_files_as_asked(call: Call, accept: str) -> None:
    assert build(call, b"1").headers["Accept"] == accept


@pytest.mark.parametrize(
    ("name", "path"),
    [("clip eval", "clip%20eval"), ("../admin", "..%2Fadmin"), ("a?b#c", "a%3Fb%23c"), ("é", "%C3%A9")],
)
def test_a_name_stays_one_segment_of_the_path(name: str, path: str) -> None:
    assert build_describe(name).path == f"/v1/pipelines/{path}"
    assert build(Call(name), b"1").path == f"/v1/augment/{path}"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no name of a pipeline"):
        build_describe(name)


@pytest.mark.parametrize(
    ("call", "images", "message"),
    [
        (Call("p", "nump"), 1, "as_ is 'numpy', 'torch' or 'bytes', not 'nump'"),
        (Call("p"), 0, "no images"),
        (Call("p", views=0), 1, "views are 1..64, not 0"),
        (Call("p", views=65), 1, "views are 1..64, not 65"),
        (Call("p", seed=-1), 1, "seeds are 0"),
        (Call("p", seed=SEED_LIMIT - 5, views=3), 2, "for the first of 6 is outside"),
        (Call("p", media_type="image/png"), 1, "for as_='bytes'"),
        (Call("p", "torch", quality=80), 1, "for as_='bytes'"),
    ],
)
def test_what_no_server_takes_is_refused_before_it_is_sent(call: Call, images: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call.check(images)


def test_the_last_seed_can_be_used() -> None:
    Call("p", seed=SEED_LIMIT - 6, views=3).check(2)


@pytest.mark.parametrize(("seconds", "sent"), [(1.5, "1500"), (0.0001, "1"), (86_400.0, "600000")])
def test_the_server_is_told_how_long_its_answer_is_waited_for(seconds: float, sent: str) -> None:
    assert deadline_header(seconds) == {"Augserve-Timeout-Ms": sent}


def test_without_a_limit_the_server_is_told_none() -> None:
    assert deadline_header(None) == {}
