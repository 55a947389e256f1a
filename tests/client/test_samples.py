"""What both clients give for samples, clips and records, against a small service in this process."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from asking import CORRUPT, ask, augment, both, images_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_inference import asked
from small_service import Service, augmented, record_of

import augserve
from augserve import Augmented, Clip, Record, Sample, wire
from factories import make_pixels

SIZE = (7, 13)
BOXES = np.array([[1, 2, 3, 4], [0.5, 0.25, 5, 6]], np.float32)
POINTS = np.array([[[1, 2], [3, 4.5]]], np.float32)
MASKS = np.arange(2 * 7 * 13, dtype=np.int32).reshape(2, *SIZE)
LABELS = np.array([3, 5])


def sample(image: Any = None, **targets: Any) -> Sample:
    everything = {"boxes": BOXES, "masks": MASKS, "keypoints": POINTS, "labels": LABELS}
    return Sample(make_pixels(size=SIZE) if image is None else image, **(targets or everything))


def clip_of(frames: int) -> np.ndarray:
    return np.stack([make_pixels(size=SIZE) + np.uint8(i) for i in range(frames)])


def check(result: Any, seed: int, *, record: bool = False) -> None:
    """It is what the service makes of ``sample()`` under ``seed``."""
    assert isinstance(result, Augmented)
    assert np.array_equal(result.image, augmented(make_pixels(size=SIZE), seed))
    assert np.array_equal(result.boxes, BOXES + np.float32(seed))
    assert np.array_equal(result.masks, MASKS + seed)
    assert np.array_equal(result.keypoints, POINTS + np.float32(seed))
    assert np.array_equal(result.labels, LABELS)
    assert (result.box_format, result.canvas_size, result.clamping_mode) == ("XYXY", SIZE, "soft")
    assert (result.record == Record.from_json(record_of(seed, SIZE))) if record else result.record is None


@both
@pytest.mark.parametrize("params", [False, True])
def test_one_sample_gives_all_that_came_of_it(kind: type, params: bool) -> None:
    check(augment(kind, Service(), sample(), seed=3, params=params), 3, record=params)


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 64])
def test_several_samples_give_results_in_order(kind: type, images_per_request: int) -> None:
    results = augment(
        kind, Service(), [sample()] * 5, seed=3, views=2, params=True, client_images_per_request=images_per_request
    )
    assert len(results) == 10
    for r, result in enumerate(results.raise_for_errors()):
        check(result, 3 + r, record=True)


@both
def test_results_of_a_sample_are_tensors_where_asked(kind: type) -> None:
    result = augment(kind, Service(), sample(), seed=3, as_="torch")
    values = (result.image, result.boxes, result.masks, result.keypoints, result.labels)
    assert all(type(value) is torch.Tensor for value in values)
    assert [str(value.dtype) for value in values] == [
        f"torch.{n}" for n in ["uint8", "float32", "int32", "float32", "int64"]
    ]
    check(result, 3)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_results_may_be_written_to(kind: type, form: Any) -> None:
    for result in augment(kind, Service(), [sample(), sample()], seed=3, as_=form):
        for values in (result.image, result.boxes, result.masks, result.keypoints, result.labels):
            values[...] = 0
            assert not values.any()


@both
@pytest.mark.parametrize("count", [None, 1, 3])
def test_results_of_a_sample_are_files_and_numbers_where_asked(kind: type, count: int | None) -> None:
    mask = MASKS[0].astype(np.uint8)
    given = sample(boxes=BOXES, masks=mask, keypoints=POINTS, labels=LABELS)
    images = given if count is None else [given] * count
    results = augment(kind, Service(), images, seed=3, as_="bytes", media_type="image/png", params=True)
    for r, result in enumerate([results] if count is None else results):
        seed = 3 + r
        assert isinstance(result.image, bytes)
        decoded = np.asarray(Image.open(io.BytesIO(result.image))).transpose(2, 0, 1)
        assert np.array_equal(decoded, augmented(make_pixels(size=SIZE), seed))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(result.masks))), mask + np.uint8(seed))
        assert np.array_equal(result.boxes, BOXES + np.float32(seed))
        assert np.array_equal(result.keypoints, POINTS + np.float32(seed))
        assert np.array_equal(result.labels, LABELS)
        assert (result.boxes.dtype, result.box_format, result.canvas_size) == (np.float32, "XYXY", SIZE)
        assert result.record.seed == seed


@both
@pytest.mark.parametrize("count", [None, 2])
def test_arrays_with_targets_are_files_as_well(kind: type, count: int | None) -> None:
    images = sample() if count is None else [sample()] * count
    results = augment(kind, Service(), images, seed=3, as_="bytes", media_type=wire.SAFETENSORS, params=True)
    for r, result in enumerate([results] if count is None else results):
        archive = wire.read_safetensors(result.image)
        assert archive.keys() == {"image", "boxes", "masks", "keypoints", "labels"}
        masks = wire.read_npy(result.masks)
        values = {"boxes": result.boxes, "masks": masks, "keypoints": result.keypoints, "labels": result.labels}
        assert all(np.array_equal(archive[name], value) for name, value in values.items())
        assert np.array_equal(masks, MASKS + 3 + r)
        assert result.record.seed == 3 + r
    npy = augment(kind, Service(), images, seed=3, as_="bytes", media_type=wire.NPY)
    for r, result in enumerate([npy] if count is None else npy):
        assert np.array_equal(wire.read_npy(result.image), augmented(make_pixels(size=SIZE), 3 + r))
        assert np.array_equal(wire.read_npy(result.masks), MASKS + 3 + r)


@both
def test_what_was_not_given_is_none(kind: type) -> None:
    for form in ("numpy", "torch", "bytes"):
        result = augment(kind, Service(), sample(labels=3), seed=3, as_=form)
        assert int(result.labels) == 3
        absent = (result.boxes, result.masks, result.keypoints, result.box_format, result.canvas_size, result.record)
        assert absent == (None,) * 6


@both
@pytest.mark.parametrize("format", wire.BOX_COLUMNS)
def test_empty_targets_come_back_empty(kind: type, format: Any) -> None:
    empty = sample(boxes=[], box_format=format, keypoints=[], labels=[], masks=np.zeros((0, *SIZE), bool))
    for form in ("numpy", "torch", "bytes"):
        result = augment(kind, Service(), empty, seed=0, as_=form)
        assert tuple(result.boxes.shape) == (0, wire.BOX_COLUMNS[format])
        assert tuple(result.keypoints.shape) == (0, 2)
        assert tuple(result.labels.shape) == (0,)
        assert result.box_format == format


@both
@pytest.mark.parametrize("mode", ["soft", "hard", None])
@pytest.mark.parametrize("form", ["numpy", "bytes"])
def test_boxes_keep_their_clamping_mode(kind: type, mode: Any, form: Any) -> None:
    given = Sample(make_pixels(size=SIZE), boxes=BOXES, box_format="XYWH", clamping_mode=mode)
    result = augment(kind, Service(), given, seed=0, as_=form)
    assert (result.box_format, result.clamping_mode) == ("XYWH", mode)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_a_clip_gives_its_frames(kind: type, form: Any) -> None:
    clip = clip_of(3)
    result = augment(kind, Service(), Clip(clip), seed=3, as_=form)
    assert np.array_equal(result, augmented(clip, 3))
    results = augment(kind, Service(), [Clip(clip), Clip(clip)], seed=3, views=2, as_=form)
    assert np.array_equal(results.stack(), np.stack([augmented(clip, 3 + r) for r in range(4)]))


@both
def test_a_clip_as_bytes_is_a_list_of_files(kind: type) -> None:
    clip = clip_of(3)
    frames = augment(kind, Service(), Clip(clip), seed=3, as_="bytes", media_type="image/png")
    decoded = [np.asarray(Image.open(io.BytesIO(frame))) for frame in frames]
    assert np.array_equal(np.moveaxis(decoded, -1, 1), augmented(clip, 3))
    results = augment(kind, Service(), [Clip(clip)] * 2, seed=3, as_="bytes", media_type="image/png")
    assert [len(frames) for frames in results] == [3, 3]
    assert results.media_type == "image/png"
    with pytest.raises(TypeError, match="encoded results do not stack"):
        results.stack()


@both
def test_a_clip_may_have_targets(kind: type) -> None:
    given = sample(Clip(clip_of(3)), boxes=BOXES)
    result = augment(kind, Service(), given, seed=3)
    assert np.array_equal(result.image, augmented(clip_of(3), 3))
    assert np.array_equal(result.boxes, BOXES + 3)
    files = augment(kind, Service(), given, seed=3, as_="bytes", media_type="image/png")
    assert [type(frame) for frame in files.image] == [bytes] * 3


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 64])
def test_images_clips_and_samples_go_together(kind: type, images_per_request: int) -> None:
    pixels, clip = make_pixels(size=SIZE), clip_of(2)
    items = [pixels, sample(), Clip(clip), pixels, CORRUPT, sample(boxes=BOXES)]
    results = augment(kind, Service(), items, seed=3, client_images_per_request=images_per_request)
    assert np.array_equal(results[0], augmented(pixels, 3))
    check(results[1], 4)
    assert np.array_equal(results[2], augmented(clip, 5))
    assert np.array_equal(results[3], augmented(pixels, 6))
    assert list(results.errors) == [4]
    assert np.array_equal(results[5].boxes, BOXES + 8)
    files = augment(kind, Service(), items[:4], as_="bytes", media_type="image/png")
    assert [type(result) for result in files] == [bytes, Augmented, list, bytes]


@both
@given(
    kinds=st.lists(st.sampled_from(["image", "clip", "sample", "corrupt"]), min_size=1, max_size=7),
    views=st.integers(1, 2),
    images_per_request=st.integers(1, 8),
    params=st.booleans(),
)
def test_a_call_gives_the_same_however_it_is_split(
    kind: type, kinds: list[str], views: int, images_per_request: int, params: bool
) -> None:
    choices = {
        "image": make_pixels(size=SIZE),
        "clip": Clip(clip_of(2)),
        "sample": sample(boxes=BOXES, labels=LABELS),
        "corrupt": Sample(CORRUPT, labels=1),
    }
    items = [choices[name] for name in kinds]
    whole = augment(kind, Service(), items, seed=5, views=views, params=params)
    split = augment(
        kind, Service(), items, seed=5, views=views, params=params, client_images_per_request=images_per_request
    )
    assert whole.errors.keys() == split.errors.keys()
    assert sorted(whole.errors) == [r for r in range(len(whole)) if kinds[r // views] == "corrupt"]
    for one, other in zip(whole, split, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Augmented):
            assert np.array_equal(one.image, other.image)
            assert one.record == other.record
            assert (one.boxes is None and other.boxes is None) or np.array_equal(one.boxes, other.boxes)


@both
def test_images_have_records_where_asked(kind: type) -> None:
    pixels = make_pixels(size=SIZE)
    for form in ("numpy", "torch", "bytes"):
        result = augment(kind, Service(), pixels, seed=3, params=True, as_=form)
        assert isinstance(result, Augmented)
        assert (result.record.seed, result.boxes) == (3, None)
        results = augment(kind, Service(), [pixels, Clip(clip_of(2))], seed=3, params=True, as_=form)
        assert [result.record.seed for result in results] == [3, 4]
    assert np.array_equal(augment(kind, Service(), pixels, seed=3, params=True).image, augmented(pixels, 3))


@both
def test_records_are_asked_for_only_where_they_are_wanted(kind: type) -> None:
    service = Service()
    augment(kind, service, make_pixels(size=SIZE))
    augment(kind, service, make_pixels(size=SIZE), params=True)
    assert [request.url.params.get("params") for request in service.requests] == [None, "true"]


@both
def test_targets_are_tensors_of_their_own_with_nothing_for_those_who_have_none(kind: type) -> None:
    service = Service()
    augment(kind, service, images_of(2), params=True)
    augment(kind, service, [images_of(1)[0], sample(labels=1)])
    first, second = [asked(request) for request in service.requests]
    assert [(tensor.name, tensor.shape) for tensor in first.inputs] == [("IMAGE", (2,))]
    assert [(tensor.name, tensor.shape) for tensor in second.inputs] == [("IMAGE", (2,)), ("LABELS", (2,))]
    assert [len(element) > 0 for element in second.inputs[1].data] == [False, True]


@both
def test_a_request_is_kept_within_its_bytes_with_all_that_a_sample_has(kind: type) -> None:
    service = Service()
    masks = np.zeros((40, *SIZE), np.uint8)
    results = augment(kind, service, [sample(masks=masks)] * 9, client_bytes_per_request=13_792)
    assert not results.errors
    assert len(service.requests) == 5
    assert all(len(request.content) <= 13_792 for request in service.requests)
    clips = Service()
    augment(kind, clips, [Clip(clip_of(10))] * 6, client_bytes_per_request=26_792)
    assert len(clips.requests) == 3


@both
def test_a_sample_that_fails_alone_raises_and_among_others_is_an_error(kind: type) -> None:
    with pytest.raises(augserve.ImageRejected):
        augment(kind, Service(), sample(CORRUPT, labels=1))
    results = augment(kind, Service(), [sample(CORRUPT, labels=1)] * 2)
    assert len(results.errors) == 2


@both
def test_what_cannot_be_sent_says_which_it_is(kind: type) -> None:
    service = Service()
    with pytest.raises(augserve.InvalidInput, match="boxes in XYXY") as raised:
        augment(kind, service, [sample(), sample(boxes=[[1]])])
    assert raised.value.__notes__ == ["it is number 1 of what was given, counted from 0"]
    with pytest.raises(augserve.InvalidInput, match="sample 1 has no image; only replay takes targets alone"):
        augment(kind, service, [sample(), Sample(None, boxes=BOXES)])
    assert not service.requests


@both
def test_results_with_targets_do_not_stack(kind: type) -> None:
    with pytest.raises(TypeError, match="their images may"):
        augment(kind, Service(), [sample(), sample()]).stack()


@both
def test_results_with_targets_travel_between_processes(kind: type) -> None:
    results = augment(kind, Service(), [sample(), sample()], seed=3, params=True)
    check(pickle.loads(pickle.dumps(results))[1], 4, record=True)


def replay(kind: type, service: Any, samples: Any, records: Any, **options: Any) -> Any:
    return ask(kind, service, "replay", samples, records, **options)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_a_replay_does_what_was_done(kind: type, form: Any) -> None:
    result = augment(kind, Service(), sample(), seed=3, params=True)
    check(replay(kind, Service(), sample(), result.record, as_=form), 3)


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 64])
def test_each_sample_is_replayed_by_its_record(kind: type, images_per_request: int) -> None:
    results = augment(kind, Service(), [sample()] * 3, seed=3, params=True)
    records = [result.record for result in results]
    again = replay(kind, Service(), [sample()] * 3, records, client_images_per_request=images_per_request)
    for r, result in enumerate(again):
        check(result, 3 + r)
    assert (again.seeds, again.seed, again.views) == ([3, 4, 5], 3, 1)
    assert (again.pipeline, again.fingerprint) == (None, None)
    assert repr(again) == "<Results of a replay: 3, seed=3, views=1>"


@both
def test_one_record_does_for_all(kind: type) -> None:
    record = Record.from_json(record_of(9, SIZE))
    for result in replay(kind, Service(), [sample()] * 3, record):
        check(result, 9)
    image = replay(kind, Service(), make_pixels(size=SIZE), record)
    assert np.array_equal(image.image, augmented(make_pixels(size=SIZE), 9))


@both
@pytest.mark.parametrize("form", ["numpy", "torch", "bytes"])
def test_targets_are_replayed_without_an_image(kind: type, form: Any) -> None:
    record = Record.from_json(record_of(9, SIZE))
    result = replay(kind, Service(), Sample(None, boxes=BOXES, masks=MASKS), record, as_=form)
    assert result.image is None
    assert np.array_equal(result.boxes, BOXES + 9)
    masks = wire.read_npy(result.masks) if form == "bytes" else result.masks
    assert np.array_equal(masks, MASKS + 9)


@both
def test_a_replay_goes_to_its_own_address_with_nothing_drawn(kind: type) -> None:
    service = Service()
    replay(kind, service, sample(), Record.from_json(record_of(9, SIZE)), as_="bytes", quality=80)
    (request,) = service.requests
    assert request.url.path == "/v1/replay"
    assert dict(request.url.params) == {"quality": "80"}


@both
@pytest.mark.parametrize(
    ("samples", "records", "options", "message"),
    [
        ([sample()] * 2, 3, {}, "3 records do not go with 2 samples"),
        ([], 0, {}, "no samples to replay on"),
        ([Sample(None)], 1, {}, "sample 0 has neither an image nor targets"),
        ([sample()], 1, {"as_": "jax"}, "as_ is 'numpy', 'torch' or 'bytes'"),
        ([sample()], 1, {"quality": 80}, "for as_='bytes'"),
    ],
)
def test_a_replay_that_no_server_takes_is_refused(
    kind: type, samples: Any, records: int, options: dict[str, Any], message: str
) -> None:
    service = Service()
    with pytest.raises(augserve.InvalidInput, match=message):
        replay(kind, service, samples, [Record.from_json(record_of(9, SIZE))] * records, **options)
    assert not service.requests
