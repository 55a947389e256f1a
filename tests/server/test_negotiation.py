"""Which media type answers which Accept header."""

from __future__ import annotations

import pytest

from augserve.wire import JPEG, NPY, PNG, SAFETENSORS, WEBP
from augserve_pipelines import OutputSignature
from augserve_server.errors import NotAcceptable
from augserve_server.negotiation import media_types, negotiate, parse_accept

PICTURES = media_types(OutputSignature("uint8", 3, 224, 224))
FLOATS = media_types(OutputSignature("float32", 3, 224, 224))


def test_pictures_go_out_as_images_or_tensors_and_floats_as_tensors() -> None:
    assert PICTURES == [JPEG, PNG, WEBP, NPY, SAFETENSORS]
    assert FLOATS == [NPY, SAFETENSORS]


def test_channels_decide_whether_uint8_is_a_picture() -> None:
    assert JPEG in media_types(OutputSignature("uint8", 1, 8, 8))
    assert JPEG in media_types(OutputSignature("uint8", None, 8, 8))
    assert JPEG not in media_types(OutputSignature("uint8", 4, 8, 8))


def test_npy_has_no_bfloat16() -> None:
    assert media_types(OutputSignature("bfloat16", 3, 8, 8)) == [SAFETENSORS]
    with pytest.raises(NotAcceptable):
        negotiate(NPY, [SAFETENSORS])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JPEG),
        ("*/*", JPEG),
        ("image/*", JPEG),
        ("multipart/mixed", JPEG),
        ("multipart/*;q=0.5", JPEG),
        ("multipart/mixed, image/png", PNG),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/webp;q=0.9, image/png;q=0.8", WEBP),
        ("image/png, */*", PNG),
        ("application/*", NPY),
        ("image/*;q=0, */*;q=0.1", NPY),
        ("image/jpeg;q=0, image/*", PNG),
        ("text/html, application/xhtml+xml, image/avif, */*;q=0.8", JPEG),
        ("application/vnd.safetensors;version=1", SAFETENSORS),
        ("image/png;q=high, image/webp", WEBP),
    ],
)
def test_the_best_of_what_is_accepted_is_sent(accept: str, expected: str) -> None:
    assert negotiate(accept, PICTURES) == expected


@pytest.mark.parametrize("accept", ["image/png", "text/html", "*/*;q=0", "nonsense", "*/png", "image/*, text/*"])
def test_nothing_acceptable_names_what_is_available(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/x-npy, application/vnd\.safetensors") as caught:
        negotiate(accept, FLOATS)
    assert caught.value.members["allowed"] == FLOATS


def test_an_endless_header_is_not_read_to_its_end() -> None:
    assert len(parse_accept(",".join(["image/png"] * 10_000))) == 64
