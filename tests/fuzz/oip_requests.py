"""Mutated requests of the Open Inference Protocol: JSON heads, the bytes behind them, and the HTTP around them."""

from __future__ import annotations

import copy
import gzip
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from augserve.wire import InvalidBody, oip
from factories import make_file
from fuzz.mutations import BLIND, mutated

SIZE: Final = (12, 16)
PIPELINES: Final = {
    "small": "transforms: [{Resize: {size: [8, 9]}}]",
    "ragged": "transforms: [{Resize: {size: 8}}, RandomHorizontalFlip]",
    "floats": "transforms: [{Resize: {size: [4, 5]}}, {ToDtype: {dtype: float32, scale: true}}, "
    "{Normalize: {mean: [0.5], std: [0.5]}}]",
    "detect": "transforms: [RandomHorizontalFlip, {Resize: {size: [9, 9]}}, ClampBoundingBoxes, "
    "{SanitizeBoundingBoxes: {labels_getter: null}}]",
}
REGION: Final = "own"
REGION_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, its body in pieces."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        0.5,
        1e308,
        2**31,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63),
        10**40,
        "",
        "x",
        "IMAGE",
    ),
    *(
        "PIXELS",
        "BYTES",
        "UINT8",
        "FP32",
        "FP16",
        "BOOL",
        REGION,
        "\u0000",
        "\ud800",
        "é" * 300,
        "x" * 5000,
        [],
        [0],
        [1],
    ),
    *(
        [-1],
        [2**63],
        [2**32, 2**32],
        [2**31, 2**31, 4],
        [0, 2**62],
        [1, 1],
        [1.0],
        ["1"],
        [[1]],
        [1] * 100,
        {},
        {"a": 1},
    ),
    *(
        {"binary_data_size": 4},
        {"binary_data_size": -1},
        {"shared_memory_region": REGION},
        [[[[[[1]]]]]],
        [None],
        "2**2",
    ),
)
PARAMETERS: Final = {
    "seed": (0, 1, 2**64 - 1, 2**64, -1, "1", 0.5),
    "views": (1, 2, 64, 65, 0, True),
    "on_error": ("fail", "skip", "fill", "x", 1),
    "output_dtype": ("float16", "bfloat16", "float32", "uint8"),
    "wire": ("uint8", "x"),
    "format": ("jpeg", "png", "webp", "npy", "safetensors", "gif"),
    "quality": (1, 100, 0, 101),
    "params": (True, False, 1),
    "timeout": (0, 1, 10**6, 2**63, -1, "x"),
    "priority": (0, 1, 2, 2**64),
    "binary_data_output": (True, False, 1, "true"),
    "sequence_id": (1, "x"),
    "triton_enable_empty_final_response": (True,),
    "x" * 300: (1,),
}
OUTPUTS: Final = ("PIXELS", "SHAPES", "STATUS", "ERRORS", "ENCODED", "RECIPE", "CLIP", "BOXES", "LABELS", "x", "")
HEADERS: Final = (
    *(("content-encoding", value) for value in ("gzip", "deflate", "br", "identity", "gzip, gzip", "")),
    *(("accept-encoding", value) for value in ("gzip", "deflate", "gzip, deflate, br", "*", "gzip;q=0")),
    *(("augserve-timeout-ms", value) for value in ("1", "1000", "0", "-1", "x", "9" * 30)),
    *(
        ("content-type", value)
        for value in ("application/json", "text/html", "multipart/form-data; boundary=x", "\u00ff")
    ),
    *(("x-request-id", value) for value in ("a", "x" * 100, "\n")),
    *(("augserve-priority", value) for value in ("bulk", "interactive", "x")),
)
HEAD_LENGTH: Final = "inference-header-content-length"
WITHOUT: Final = 2**32 - 1
"""In front of a body, for a request that does not have that header."""
PATHS: Final = (
    *(
        "/v2",
        "/v2/",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/small",
        "/v2/models/small/config",
        "/v2/models",
    ),
    *(
        "/v2/models/stats",
        "/v2/models/small/stats",
        "/v2/models/small/ready",
        "/v2/models/nothing/infer",
        "/v2/logging",
    ),
    *("/v2/models/small/versions/1/infer", "/v2/models/small/versions/2/infer", "/v2/models/small/versions/x/infer"),
    *("/v2/repository/index", "/v2/repository/x/index", "/v2/repository/models/small/load", "/v2/trace/setting"),
    *("/v2/repository/models/small/unload", "/v2/models/small/trace/setting", "/v2/systemsharedmemory/status"),
    *(
        f"/v2/systemsharedmemory/region/{REGION}/status",
        "/v2/systemsharedmemory/region/a/register",
        "/v2/models//infer",
    ),
    *("/v2/systemsharedmemory/region/a/unregister", "/v2/cudasharedmemory/status", "/v2/models/%2e%2e/infer"),
    *(
        "/v2/cudasharedmemory/region/a/register",
        "/v2/cudasharedmemory/unregister",
        "/v2/models/" + "x" * 300 + "/infer",
    ),
    *("/v2/models/\u00e9/infer", "/v2/models/a%00b/infer", "/v2/models/small/generate", "/v2/models/small/infer?x=1"),
)


@cache
def images() -> tuple[bytes, ...]:
    return tuple(make_file(format, SIZE) for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"))


def packed(elements: Sequence[bytes]) -> bytes:
    """Elements of BYTES with their lengths."""
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def make_request(index: int) -> Request:
    """The request of this number: always the same one."""
    chance = random.Random(f"request {index}")
    if chance.random() < 0.1:
        return _to_elsewhere(chance)
    head, blobs = _valid(chance)
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 5))):
        _change(chance, head)
    text = _written(chance, head)
    if chance.random() < 0.1:
        text = mutated(chance, text, BLIND)
    body = b"".join(blobs)
    if chance.random() < 0.15:
        body = mutated(chance, body, BLIND)
    length: str | None = str(len(text)) if body or chance.random() < 0.5 else None
    if chance.random() < 0.1:
        wrong = (
            "-1",
            "0",
            str(len(text + body)),
            str(len(text + body) + 1),
            "x",
            str(2**63),
            "",
            "1e3",
            "0x10",
            "9" * 50,
        )
        length = chance.choice((*wrong, str(len(text) - 1), str(len(text) + 1), None))
    headers = [] if length is None else [(HEAD_LENGTH, length)]
    return _sent(chance, f"/v2/models/{chance.choice(tuple(PIPELINES))}/infer", headers, text + body)


def make_body(index: int) -> bytes:
    """The body of the request of this number, behind four bytes that tell the length of its head."""
    request = make_request(index)
    length = dict(request.headers).get(HEAD_LENGTH, "")
    return (int(length) % WITHOUT if length.isdigit() else WITHOUT).to_bytes(4, "big") + request.body


def read_body(data: bytes) -> str:
    """What became of a body: ``read`` or ``refused``. Raises whatever the server would not expect."""
    length, body = int.from_bytes(data[:4], "big"), data[4:]
    try:
        oip.read_request(body, None if length == WITHOUT else oip.read_head_length(str(length), len(body)), "model")
    except InvalidBody:
        return "refused"
    return "read"


def _to_elsewhere(chance: random.Random) -> Request:
    """Any path of the protocol, with any body."""
    pool = (b"", b"{}", b"null", b"[]", b"3", b'{"ready": true}', b'{"ready": 1}', b'{"parameters": {"config": "{}"}}')
    region = b'{"key": "/augserve-fuzz", "offset": 0, "byte_size": 10}'
    body = chance.choice((*pool, region, mutated(chance, region, BLIND), b"[" * 20_000, b'{"log_info": false}'))
    method = chance.choice(("GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"))
    request = _sent(chance, chance.choice(PATHS), [], body)
    return Request(method, request.path, request.headers, request.pieces)


def _sent(chance: random.Random, path: str, headers: list[tuple[str, str]], body: bytes) -> Request:
    """With some headers more, perhaps compressed, and in pieces."""
    if chance.random() < 0.15:
        headers = [*headers, *(chance.choice(HEADERS) for _ in range(chance.choice((1, 2))))]
    if chance.random() < 0.1:
        encoding = chance.choice(("gzip", "deflate"))
        body = gzip.compress(body, 1) if encoding == "gzip" else zlib.compress(body, 1)
        if chance.random() < 0.3:
            body = chance.choice((mutated(chance, body, BLIND), gzip.compress(bytes(8 << 20), 9), body + b"more"))
        headers = [("content-encoding", encoding), *headers]
    if chance.random() < 0.9:
        return Request("POST", path, tuple(headers), (body,))
    size = chance.choice((1, 7)) if len(body) < 200 else len(body) // chance.choice((3, 20)) + 1
    return Request("POST", path, tuple(headers), tuple(body[i : i + size] for i in range(0, len(body), size)) or (b"",))


def _valid(chance: random.Random) -> tuple[dict[str, Any], list[bytes]]:
    """A head that is right, and the bytes behind it."""
    count = chance.choice((1, 1, 2, 3))
    tensors = [_pixels(chance, count)]
    if chance.random() < 0.3:
        seeds = np.arange(count, dtype="<i8")
        tensors.append(({"name": "SEED", "datatype": "INT64", "shape": [count, 1]}, seeds.tobytes(), seeds.tolist()))
    if chance.random() < 0.2:
        boxes = [b"[[1, 1, 5, 6]]", b"[]", b"[[0, 0, 3, 3], [1, 2, 3, 4]]"][:count]
        tensors.append(({"name": "BOXES", "datatype": "BYTES", "shape": [count]}, packed(boxes), None))
    inputs, blobs = [], []
    for head, blob, listed in tensors:
        if listed is not None and chance.random() < 0.3:
            inputs.append({**head, "data": listed})
        elif chance.random() < 0.05:
            region = {"shared_memory_region": REGION, "shared_memory_byte_size": chance.choice((16, 100, 5000, 2**62))}
            inputs.append(
                {**head, "parameters": {**region, "shared_memory_offset": chance.choice((0, 1, 4090, 2**63 - 1))}}
            )
        else:
            inputs.append({**head, "parameters": {"binary_data_size": len(blob)}})
            blobs.append(blob)
    request: dict[str, Any] = {"id": "1", "inputs": inputs, "parameters": dict(_parameters(chance))}
    if chance.random() < 0.5:
        request["outputs"] = [_output(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        if len({output["name"] for output in request["outputs"]}) < len(request["outputs"]):
            del request["outputs"][1:]
    return request, blobs


def _pixels(chance: random.Random, count: int) -> tuple[dict[str, Any], bytes, Any]:
    match chance.randrange(5):
        case 0:
            raw = np.arange(count * 3 * 5 * 6, dtype=np.uint8).reshape(count, 3, 5, 6)
            return {"name": "IMAGE_RAW", "datatype": "UINT8", "shape": [*raw.shape]}, raw.tobytes(), raw.tolist()
        case 1:
            rows = [chance.choice(images()) for _ in range(count)]
            longest = max(map(len, rows))
            padded = b"".join(row.ljust(longest, b"\0") for row in rows)
            return {"name": "IMAGE", "datatype": "UINT8", "shape": [count, longest]}, padded, None
        case _:
            files = [chance.choice(images()) for _ in range(count)]
            if chance.random() < 0.2:
                files[0] = mutated(chance, files[0], BLIND)
            return {"name": "IMAGE", "datatype": "BYTES", "shape": [count]}, packed(files), None


def _parameters(chance: random.Random) -> Iterator[tuple[str, Any]]:
    yield "binary_data_output", chance.random() < 0.8
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        name, values = chance.choice(tuple(PARAMETERS.items()))
        yield name, chance.choice(values)


def _output(chance: random.Random) -> dict[str, Any]:
    output: dict[str, Any] = {"name": chance.choice(OUTPUTS[:6] if chance.random() < 0.9 else OUTPUTS)}
    if chance.random() < 0.3:
        output["parameters"] = {"binary_data": chance.choice((True, False, 1))}
    elif chance.random() < 0.1:
        output["parameters"] = {
            "shared_memory_region": REGION,
            "shared_memory_byte_size": chance.choice((0, 4096, 300)),
        }
    return output


def _change(chance: random.Random, head: dict[str, Any]) -> None:
    """Another value somewhere, or one more or less."""
    container, key = chance.choice([*_places(head)])
    match chance.randrange(8):
        case 0 if isinstance(container, list):
            container.extend(copy.deepcopy([container[key]]) * chance.choice((1, 20, 3000)))
        case 1:
            del container[key]
        case 2 if isinstance(container, dict):
            container[str(chance.choice(VALUES))[:400]] = copy.deepcopy(chance.choice(VALUES))
        case _:
            container[key] = copy.deepcopy(chance.choice(VALUES))
    head.setdefault("inputs", [])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document, with each of its keys; of long lists, the first ones."""
    if isinstance(value, dict | list):
        for key in list(value)[:20] if isinstance(value, dict) else range(min(len(value), 20)):
            yield value, key
            yield from _places(value[key])


def _written(chance: random.Random, head: dict[str, Any]) -> bytes:
    text = json.dumps(head).encode()
    if chance.random() < 0.03:
        deep = (
            b"[" * 3000,
            b"1" * 5000,
            b"NaN",
            b"-Infinity",
            b"1e999",
            b'{"a":' * 3000,
            b"\xff",
            b'"\\ud800"',
            b"1.0",
        )
        text = text.replace(b'"1"', chance.choice(deep), 1)
    return text
