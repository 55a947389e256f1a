"""What both clients give for images, against a small service in this process."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import CORRUPT, augment, both, images_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_service import Service, augmented

import augserve
from augserve import wire
from factories import make_file, make_image, make_picture, make_pixels


@both
def test_one_image_gives_its_result(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    result = augment(kind, Service(), pixels, seed=3)
    assert isinstance(result, np.ndarray)
    assert np.array_equal(result, augmented(pixels, 3))


@both
def test_one_image_in_a_sequence_gives_a_sequence(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    for images, views in (([pixels], None), (pixels, 1)):
        results = augment(kind, Service(), images, seed=3, views=views)
        assert len(results) == 1
        assert np.array_equal(results[0], augmented(pixels, 3))
        assert results.stack().shape == (1, 3, 7, 13)


@both
def test_every_kind_of_image_gives_the_same_result(kind: type, tmp_path: Path) -> None:
    picture, pixels, tensor = make_picture(size=(7, 13)), make_pixels(size=(7, 13)), make_image((7, 13))
    file = make_file("PNG", (7, 13))
    (tmp_path / "a.png").write_bytes(file)
    images = [picture, pixels, tensor, file, bytearray(file), memoryview(file), tmp_path / "a.png", f"{tmp_path}/a.png"]
    results = augment(kind, Service(), images, seed=0).raise_for_errors()
    assert all(np.array_equal(result, augmented(pixels, r)) for r, result in enumerate(results))


@both
def test_results_are_tensors_where_asked(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    results = augment(kind, Service(), [pixels, pixels], seed=3, as_="torch")
    assert isinstance(results[1], torch.Tensor)
    assert torch.equal(results[1], torch.from_numpy(augmented(pixels, 4)))
    assert torch.equal(results.stack()[1], results[1])


@both
@pytest.mark.parametrize("count", [1, 3])
def test_results_are_files_where_asked(kind: type, count: int) -> None:
    images = images_of(count)
    results = augment(kind, Service(), images, seed=3, as_="bytes", media_type="image/png")
    assert results.media_type == "image/png"
    for r, file in enumerate(results):
        decoded = np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1)
        assert np.array_equal(decoded, augmented(images[r], 3 + r))


@both
@pytest.mark.parametrize("media_type", [None, wire.NPY, wire.SAFETENSORS])
def test_stacked_answers_come_apart_into_a_file_each(kind: type, media_type: str | None) -> None:
    pixels = make_pixels(size=(7, 13))
    results = augment(kind, Service(), [pixels] * 3, seed=3, as_="bytes", media_type=media_type)
    read = wire.read_npy if media_type != wire.SAFETENSORS else lambda file: wire.read_safetensors(file)["images"]
    assert results.media_type == (media_type or wire.NPY)
    for r, file in enumerate(results):
        assert isinstance(file, bytes)
        assert np.array_equal(read(file), augmented(pixels, 3 + r))


@both
def test_results_stand_at_the_index_of_their_image_and_view(kind: type) -> None:
    images = images_of(5)
    results = augment(kind, Service(), images, seed=10, views=4)
    assert len(results) == 20
    assert list(results.seeds) == list(range(10, 30))
    for i, views in enumerate(results.by_image()):
        for v, view in enumerate(views):
            assert np.array_equal(view, augmented(images[i], 10 + i * 4 + v))


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 3, 5, 64])
def test_a_failed_image_is_an_error_at_its_index(kind: type, images_per_request: int) -> None:
    images = images_of(5)
    sent = [*images[:2], CORRUPT, CORRUPT, *images[4:]]
    results = augment(kind, Service(), sent, seed=0, views=2, client_images_per_request=images_per_request)
    assert sorted(results.errors) == [4, 5, 6, 7]
    for r, result in enumerate(results):
        if r in results.errors:
            assert isinstance(result, augserve.ImageRejected)
        else:
            assert np.array_equal(result, augmented(images[r // 2], r))
    with pytest.raises(augserve.ImageRejected):
        results.raise_for_errors()
    with pytest.raises(augserve.ImageRejected):
        results.stack()


@both
@pytest.mark.parametrize(("sent", "views"), [([CORRUPT] * 3, None), ([CORRUPT], None), (CORRUPT, 2)])
def test_results_are_errors_where_every_image_fails(kind: type, sent: Any, views: int | None) -> None:
    results = augment(kind, Service(), sent, views=views)
    assert len(results) == len(results.errors) == (3 if len(sent) == 3 else views or 1)
    assert results.fingerprint == Service().fingerprint


@both
def test_one_image_that_fails_raises(kind: type) -> None:
    with pytest.raises(augserve.ImageRejected, match="image-corrupt"):
        augment(kind, Service(), CORRUPT)


@both
@given(
    count=st.integers(1, 12),
    views=st.integers(1, 3),
    images_per_request=st.integers(1, 13),
    seed=st.integers(0, 2**63 - 100),
    bad=st.sets(st.integers(0, 11)),
)
def test_a_call_gives_the_same_however_it_is_split(
    kind: type, count: int, views: int, images_per_request: int, seed: int, bad: set[int]
) -> None:
    images = [CORRUPT if i in bad else image for i, image in enumerate(images_of(count))]
    whole = augment(kind, Service(), images, seed=seed, views=views)
    split = augment(kind, Service(), images, seed=seed, views=views, client_images_per_request=images_per_request)
    assert whole.seeds == split.seeds
    assert whole.errors.keys() == split.errors.keys()
    for one, other in zip(whole, split, strict=True):
        assert type(one) is type(other)
        assert isinstance(one, augserve.ServiceError) or np.array_equal(one, other)


@both
def test_a_call_is_split_within_its_limits(kind: type) -> None:
    service = Service(max_images=3)
    results = augment(kind, service, images_of(10), client_images_per_request=3)
    assert not results.errors
    assert len(service.requests) == 4
    assert len(results.request_ids) == 4
    by_size = Service()
    augment(kind, by_size, [make_pixels(size=(100, 100))] * 10, client_bytes_per_request=100_000)
    assert len(by_size.requests) == 4
    assert all(len(request.content) <= 100_000 for request in by_size.requests)


@both
def test_a_stack_is_the_memory_that_arrived_and_where_it_was_split_a_copy(kind: type) -> None:
    pixels = make_pixels(size=(7, 13))
    expected = np.stack([augmented(pixels, r) for r in range(5)])
    whole = augment(kind, Service(), [pixels] * 5, seed=0)
    assert np.shares_memory(whole.stack(), whole[3])
    assert np.array_equal(whole.stack(), expected)
    for form in ("numpy", "torch"):
        split = augment(kind, Service(), [pixels] * 5, seed=0, as_=form, client_images_per_request=2)
        assert np.array_equal(np.asarray(split.stack()), expected)


@both
def test_results_of_different_shapes_do_not_stack(kind: type) -> None:
    with pytest.raises(augserve.ShapesDiffer, match=r"\(3, 4, 5\), \(3, 5, 5\)"):
        augment(kind, Service(), images_of(2)).stack()


@both
def test_files_do_not_stack(kind: type) -> None:
    with pytest.raises(TypeError, match="ask for as_='numpy' or as_='torch'"):
        augment(kind, Service(), images_of(2), as_="bytes").stack()


@both
def test_results_say_where_they_come_from(kind: type) -> None:
    results = augment(kind, Service(), images_of(6), seed=5, client_images_per_request=3)
    assert (results.pipeline, results.seed, results.views, results.fingerprint) == ("brighten", 5, 1, "f" * 64)
    assert results.timing_ms == {"decode": 3.0, "run": 4.0}
    assert repr(results) == "<Results of 'brighten': 6, seed=5, views=1>"
    assert isinstance(results[1:3], list)


@both
def test_results_travel_between_processes(kind: type) -> None:
    results = augment(kind, Service(), [*images_of(2), CORRUPT], seed=5)
    copy = pickle.loads(pickle.dumps(results))
    assert np.array_equal(copy[1], results[1])
    assert str(copy.errors[2]) == str(results.errors[2])


@both
def test_a_seed_that_is_not_given_is_drawn_and_told(kind: type) -> None:
    images = images_of(4)
    results = augment(kind, Service(), images, client_images_per_request=2)
    again = augment(kind, Service(), images, seed=results.seed)
    assert all(np.array_equal(one, other) for one, other in zip(results, again, strict=True))
