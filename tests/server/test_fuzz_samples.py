"""Mutated forms, clips, targets and records: the answer is a result, or says in our words what is wrong."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from augserve.wire import SAFETENSORS, read_archive
from clips import make_animation, make_frames, make_video
from factories import encode_picture, make_file, make_picture
from serving import Live, run_server

SIZE = (24, 32)
PIPELINES = {
    "detect": "transforms: [RandomHorizontalFlip, {RandomAffine: {degrees: 20}}, {RandomPerspective: {p: 0.5}}, "
    "{Resize: {size: 20}}, ClampBoundingBoxes, SanitizeBoundingBoxes]",
    "window": "transforms: [RandomIoUCrop, {RandomZoomOut: {p: 1}}, {Resize: {size: [20, 20]}}]",
    "blend": "transforms: [{Resize: {size: [20, 20]}}, {ToDtype: {dtype: float32, scale: true}}, "
    "{MixUp: {num_classes: 5}}]",
    "warp": "transforms: [{RandomRotation: {degrees: 30, expand: true}}, {ElasticTransform: {sigma: 1.0}}, "
    "{RandomResizedCrop: {size: [20, 24]}}]",
    "noise": "transforms: [{GaussianBlur: {kernel_size: 5}}, {ToDtype: {dtype: float32, scale: true}}, "
    "{GaussianNoise: {sigma: 0.1}}, {RandomErasing: {p: 1, value: random}}, {Normalize: {mean: [0.5], std: [0.5]}}]",
    "mixture": "transforms: [AugMix, {ColorJitter: {brightness: 0.3, hue: 0.2}}, {JPEG: {quality: 50}}, "
    "{TenCrop: {size: 20}}]",
}
HERE = str(Path(__file__).parents[2])  # a path of this machine
TALKATIVE = ("Traceback", HERE, "site-packages", ".py", "object at 0x", "' object", "NoneType", "<class", "operand")
"""What only libraries say."""

IMAGES = [make_file("PNG", SIZE), make_file("JPEG", SIZE)]
FRAMES = make_frames(4, SIZE)
CLIPS = [make_animation(format, FRAMES) for format in ("GIF", "WebP", "PNG")]
CLIPS += [make_video(), make_video("avi", "mjpeg", pixel_format="yuvj420p")]
MASK = encode_picture(make_picture("coffee", SIZE, "L"), "PNG")
JSON = [
    *(b"", b"null", b"[]", b"[[]]", b"{}", b"3", b"[1, 2]", b"[true]", b'"x"', b"\xff\xfe", b"[" * 5000, b"[[[1, 2]]]"),
    *(b"[[NaN, 1, 2, 3]]", b"[[1e999, -1e999, 2, 3]]", b"[[%s, 0, 0, 0]]" % (b"9" * 400), b"[[null, 1, 1, 1]]"),
    *(b"[[1, 2, 3, 4], [1, 2]]", b"[[3, 4, 20, 20]]", b"[[10, 10, 5, 5]]", b"[[1e38, 1e38, -1e38, 1e38]]"),
    *(b'{"data": [[1, 2, 3, 4, 5]], "format": "CXCYWHR"}', b'{"data": [[1, 2, 3, 4]], "dtype": "object"}'),
    *(b'{"data": [1e30], "dtype": "int32"}', b'{"data": {"data": []}}', b'{"data": [], "format": "XYXYXYXY"}'),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        3,
        0.5,
        1e308,
        10**18,
        10**40,
        2**63,
        float("nan"),
        float("inf"),
        "nan",
        "",
        "\x00",
        "bilinear",
    ),
    *([], [1], [[]], [0, 0], [24, 32], [0.5, 0.5], [1e9, 1e9], {}, {"dtype": "uint8"}, {"dtype": "object"}),
    *({"tensor": [[1, 2], [3]], "dtype": "int64"}, {"tensor": 1, "dtype": "float32"}, {"stream": "AAAA"}),
    *({"deferred": [1]}, {"deferred": "NormalNoise", "channels": 3, "height": 24, "width": 32}),
]

Part = tuple[str, bytes]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    with run_server(pipelines=folder, max_image_pixels=100_000, max_stage_pixels=100_000) as server:
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, timeout=10, headers={"Accept": SAFETENSORS}) as made:
        yield made


def check(response: httpx.Response, sent: object) -> None:
    """The answer is no mistake of ours, and tells nothing of how the server is made."""
    assert response.status_code < 500, (response.text, sent)
    assert b"urn:augserve:error:internal" not in response.content, sent
    if response.status_code >= 400:
        assert not [word for word in TALKATIVE if word in response.text], (response.text, sent)


def npy(chance: random.Random) -> bytes:
    """An array that may be boxes or masks or nothing, with a header that may lie."""
    shape = chance.choice([(3, 4), (0, 4), (24, 32), (2, 24, 32), (0,), (), (3, 5), (2, 8), (2, 2, 2)])
    buffer = BytesIO()
    np.save(buffer, np.zeros(shape, chance.choice(["u1", "i8", ">i4", "f4", ">f8", "?", "f2", "c8"])))
    lies = [
        (b"(3, 4)", b"(2**64"),
        (b"(3, 4)", b"(-1,4)"),
        (b"False", b"True "),
        (b"<f4", b"|O8"),
        (b"NUMPY\x01", b"NUMPY\x03"),
    ]
    return buffer.getvalue().replace(*chance.choice(lies)) if chance.random() < 0.4 else buffer.getvalue()


def damaged(chance: random.Random, data: bytes) -> bytes:
    """The same bytes, cut off or with some of them changed, more often at the beginning."""
    if chance.random() < 0.2:
        return data[: chance.randrange(len(data) + 1)]
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 5, 20)) if data else 0):
        place = chance.randrange(min(len(data), chance.choice((40, 200, 100_000))))
        changed[place] = chance.choice((0, 127, 128, 255, chance.randrange(256)))
    return bytes(changed)


def make_sample(chance: random.Random) -> Iterator[Part]:
    match chance.choice(("image", "image", "clip", "frame")):
        case "image":
            yield "image", chance.choice(IMAGES)
        case "clip":
            yield "clip", damaged(chance, chance.choice(CLIPS))
        case _:
            yield from [("frame", chance.choice(IMAGES))] * chance.choice((1, 2, 5))
    for name in ("boxes", "masks", "keypoints", "labels"):
        if chance.random() < 0.3:
            pool = [npy(chance), MASK, damaged(chance, MASK)] if name == "masks" else [npy(chance), chance.choice(JSON)]
            yield name, chance.choice(pool)


def make_form(chance: random.Random) -> bytes:
    parts = [part for _ in range(chance.choice((1, 1, 2, 3))) for part in make_sample(chance)]
    if chance.random() < 0.1:
        indices = ("", "[0]", "[1]", "[255]", "[9999999999]", "[-1]", "[\u0663]", "[")
        parts = [(name + chance.choice(indices), data) for name, data in parts]
    if chance.random() < 0.05:
        parts.append((chance.choice(("\x00", "imagé", "image\x01", "x" * 5000, '"', "")), b"x"))
    head = '--B\r\nContent-Disposition: form-data; name="{}"; filename="x"\r\n\r\n'
    body = b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts) + b"--B--\r\n"
    return damaged(chance, body) if chance.random() < 0.05 else body


def test_mutated_forms_are_answered(client: httpx.Client) -> None:
    chance = random.Random(1)
    for i in range(500):
        body = make_form(chance)
        query = f"seed={i}&params={chance.choice(('true', 'false'))}&views={chance.choice((1, 3))}"
        headers = {"Content-Type": "multipart/form-data; boundary=B", "Accept": chance.choice((SAFETENSORS, "*/*"))}
        pipeline = chance.choice(tuple(PIPELINES))
        check(client.post(f"/v1/augment/{pipeline}?{query}", content=body, headers=headers), (i, pipeline, body[:500]))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each of its keys."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutated(chance: random.Random, record: Any, operations: list[Any]) -> Any:
    document = copy.deepcopy(record)
    for _ in range(chance.choice((1, 1, 2, 3))):
        steps = document["operations"]
        own = list(places(steps)) or [(document, "operations")]
        container, key = chance.choice(own)
        match chance.randrange(5):
            case 0 | 1:
                container[key] = chance.choice(VALUES)
            case 2:
                steps.insert(0, chance.choice(operations))
            case 3:
                chance.choice(steps or [{}])["kinds"] = chance.choice(([], ["Image"], ["Mask"], ["x"], [1]))
            case _:
                chance.shuffle(steps)
        if not all(isinstance(step, dict) for step in steps):
            break
    return document


def test_mutated_records_are_answered(client: httpx.Client) -> None:
    records = []
    for i in range(12):
        pipeline = ("detect", "warp", "noise", "mixture")[i % 4]
        done = client.post(f"/v1/augment/{pipeline}?params=true&seed={i}", content=IMAGES[0])
        if done.status_code == 200:
            records.append(json.loads(read_archive(done.content).metadata["record"]))
    operations = [operation for record in records for operation in record["operations"]]
    assert len(operations) > 20
    chance = random.Random(2)
    for _ in range(500):
        text = json.dumps(mutated(chance, chance.choice(records), operations)).encode()
        beside = chance.choice(
            (("image", IMAGES[0]), ("image", IMAGES[1]), ("masks", MASK), ("boxes", b"[[1, 2, 9, 9]]"))
        )
        response = client.post("/v1/replay", files=[(name, (name, data)) for name, data in (beside, ("record", text))])
        check(response, text[:2000])


@pytest.mark.parametrize(
    ("name", "shape"),
    [("keypoints", (10**9, 0, 2)), ("keypoints", (0, 10**12, 2)), ("labels", (5, 10**9, 0)), ("labels", (10**9, 0))],
)
def test_arrays_of_many_empty_rows_are_refused(client: httpx.Client, name: str, shape: tuple[int, ...]) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    files = [("image", ("image", IMAGES[0])), (name, (name, data, "application/x-npy"))]
    response = client.post("/v1/augment/detect", files=files, headers={"Accept": "*/*"})
    assert (response.status_code, response.json()["measure"]) == (413, "rows")
