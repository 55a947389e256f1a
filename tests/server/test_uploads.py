"""Forms of samples: which parts belong together, and which forms make no sense."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from augserve_server.errors import (
    BodyMalformed,
    ClipTooLarge,
    EmptyBody,
    ImageTooLarge,
    RecordInvalid,
    ServiceError,
    TargetTooLarge,
    TooManyImages,
)
from augserve_server.forms import Form
from augserve_server.uploads import MAX_RECORD_BYTES, Grammar, SampleLimits, Samples, SampleUpload, Target, Upload

LIMITS = SampleLimits(images=4, image_bytes=1000, frames=3)

Part = tuple[str, bytes]


def read(parts: Sequence[Part], *, replay: bool = False, size: int = 50) -> list[Upload]:
    """The samples of a form of these parts, that comes in pieces of this size."""
    samples = Samples(LIMITS, Grammar(replay))
    form = Form(b"B", samples)
    body = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%b"; filename="x"\r\nContent-Type: t/%b\r\n\r\n%b\r\n'
        % (name.encode(), name[:1].encode(), data)
        for name, data in parts
    )
    for start in range(0, len(body), size):
        form.write(body[start : start + size])
    form.write(b"--B--\r\n")
    form.finish()
    return samples.uploads()


def sample(**parts: bytes | tuple[bytes, ...]) -> SampleUpload:
    """A sample of these parts."""
    own = {name: data for name, data in parts.items() if name in ("image", "clip", "frames", "record")}
    rest = {
        name: Target(data, f"t/{name[0]}") for name, data in parts.items() if name not in own and type(data) is bytes
    }
    return SampleUpload(targets=rest, **own)  # type: ignore[arg-type]  # as the names are


def test_images_alone_are_their_bytes() -> None:
    assert read([("image", b"1"), ("image", b"2")]) == [b"1", b"2"]
    assert read([("image[1]", b"2"), ("image[0]", b"1")]) == [b"1", b"2"]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_targets_belong_to_the_image_before_them(size: int) -> None:
    parts = [("image", b"1"), ("boxes", b"b1"), ("labels", b"l1"), ("image", b"2"), ("image", b"3"), ("masks", b"m3")]
    assert read(parts, size=size) == [
        sample(image=b"1", boxes=b"b1", labels=b"l1"),
        b"2",
        sample(image=b"3", masks=b"m3"),
    ]


def test_with_an_index_the_order_does_not_matter() -> None:
    parts = [("boxes[1]", b"b1"), ("image[0]", b"0"), ("keypoints[0]", b"k0"), ("image[1]", b"1"), ("image[2]", b"2")]
    assert read(parts) == [sample(image=b"0", keypoints=b"k0"), sample(image=b"1", boxes=b"b1"), b"2"]


def test_frames_in_a_row_are_one_clip() -> None:
    parts = [("frame", b"1"), ("frame", b"2"), ("boxes", b"b"), ("frame", b"3"), ("image", b"4"), ("clip", b"5")]
    assert read(parts) == [
        sample(frames=(b"1", b"2"), boxes=b"b"),
        sample(frames=(b"3",)),
        b"4",
        sample(clip=b"5"),
    ]


def test_frames_with_one_index_are_one_clip() -> None:
    parts = [("frame[1]", b"a"), ("frame[0]", b"1"), ("labels[0]", b"l"), ("frame[0]", b"2"), ("frame[1]", b"b")]
    assert read(parts) == [sample(frames=(b"1", b"2"), labels=b"l"), sample(frames=(b"a", b"b"))]


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ([], EmptyBody, ""),
        ([("boxes", b"")], BodyMalformed, "part 0 of the form is named 'boxes', but no image stands before it"),
        ([("image", b""), ("boxes", b""), ("boxes", b"")], BodyMalformed, "part 2 of the form is named 'boxes'"),
        ([("image", b""), ("record", b"")], BodyMalformed, "named 'record'; allowed: image, clip, frame, boxes"),
        ([("image", b""), ("box", b"")], BodyMalformed, "named 'box'; allowed: image, clip, frame, boxes"),
        ([("image", b""), ("image[1]", b"")], BodyMalformed, "either all parts have an index or none"),
        ([("image[0]", b""), ("boxes", b"")], BodyMalformed, "either all parts have an index or none"),
        ([("image[0]", b""), ("image[0]", b"")], BodyMalformed, "sample 0 of the form has two parts"),
        ([("image[0]", b""), ("clip[0]", b"")], BodyMalformed, "sample 0 of the form has two parts"),
        ([("image[0]", b""), ("frame[0]", b"")], BodyMalformed, "sample 0 of the form has two parts"),
        ([("boxes[0]", b""), ("boxes[0]", b"")], BodyMalformed, "where one 'boxes' belongs"),
        ([("image[0]", b""), ("image[2]", b"")], BodyMalformed, "there is a sample 2, and no sample 1; count from 0"),
        ([("image[0]", b""), ("boxes[1]", b"")], BodyMalformed, "sample 1 of the form has no image, clip or frame"),
        ([("image[4]", b"")], TooManyImages, "more than 4"),
        ([("image[99999999999]", b"")], BodyMalformed, "allowed: image"),
        ([("image", b"")] * 5, TooManyImages, "more than 4"),
        ([("clip", b"")] * 5, TooManyImages, "more than 4"),
    ],
)
def test_a_form_that_makes_no_sense_says_why(parts: list[Part], error: type[ServiceError], words: str) -> None:
    with pytest.raises(error) as caught:
        read(parts)
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("name", "error", "field"),
    [("image", ImageTooLarge, "image"), ("clip", ImageTooLarge, "clip"), ("frame", ImageTooLarge, "frame")],
)
def test_pixels_of_too_many_bytes_fail_alone(name: str, error: type[ServiceError], field: str) -> None:
    first, second = read([(name, b"x" * 1001), ("boxes", b"b"), ("image", b"2")])
    assert isinstance(first, error)
    assert first.members == {"field": field, "measure": "bytes", "value": 1001, "limit": 1000}
    assert second == b"2"


def test_a_target_of_too_many_bytes_fails_alone() -> None:
    first, second = read([("image", b"1"), ("masks", b"x" * 1001), ("image", b"2")])
    assert isinstance(first, TargetTooLarge)
    assert first.members == {"field": "masks", "measure": "bytes", "value": 1001, "limit": 1000}
    assert second == b"2"


def test_a_clip_of_too_many_frames_fails_alone() -> None:
    first, second = read([*[("frame", b"f")] * 5, ("image", b"2")])
    assert isinstance(first, ClipTooLarge)
    assert (first.members["measure"], first.members["limit"]) == ("frames", 3)
    assert second == b"2"


def test_a_replay_may_have_one_record_for_all() -> None:
    assert read([("record", b"r"), ("image", b"1"), ("image", b"2")], replay=True) == [
        sample(image=b"1", record=b"r"),
        b"2",
    ]
    assert read([("image", b"1"), ("image", b"2"), ("record", b"r")], replay=True) == [
        b"1",
        sample(image=b"2", record=b"r"),
    ]


def test_a_replay_may_have_a_record_for_each_and_no_pixels() -> None:
    parts = [("masks", b"m"), ("record", b"1"), ("masks", b"n"), ("record", b"2"), ("image", b"i"), ("record", b"3")]
    assert read(parts, replay=True) == [
        sample(masks=b"m", record=b"1"),
        sample(masks=b"n", record=b"2"),
        sample(image=b"i", record=b"3"),
    ]
    assert read([("boxes[0]", b"b"), ("record[0]", b"r")], replay=True) == [sample(boxes=b"b", record=b"r")]


def test_a_record_of_too_many_bytes_fails_alone() -> None:
    parts = [("image", b"1"), ("record", b"x" * (MAX_RECORD_BYTES + 1)), ("image", b"2"), ("record", b"r")]
    first, second = read(parts, replay=True, size=1 << 20)
    assert isinstance(first, RecordInvalid)
    assert second == sample(image=b"2", record=b"r")
