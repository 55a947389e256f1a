"""What must never leave the server: other clients' pixels, where a picture was taken, and how the server is made."""

from __future__ import annotations

import json
import logging
import re
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageCms
from prometheus_client.parser import text_string_to_metric_families

import augserve_pipelines.executor as engine_executor
from augserve.wire import JPEG, NPY, PNG, SAFETENSORS, WEBP
from factories import encode_picture, make_file, make_picture
from serving import Live, run_server, server_process, until

SECRET = "/srv/secret/key.pem token=hunter2"


# Where a picture was taken.


def tagged(format: str) -> bytes:
    """A photograph that says where, by whom and with what it was taken, in every way that its format has."""
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif[0x8298] = "SECRETOWNER"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRETPLACE</x:xmpmeta>"
    comment = {"comment": b"SECRETCOMMENT"} if format == "JPEG" else {}
    picture = make_picture("china", (60, 80))
    return encode_picture(picture, format, exif=exif, icc_profile=profile, xmp=xmp, **comment)


@pytest.mark.parametrize("media_type", [JPEG, PNG, WEBP])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_encoded_answers_say_nothing_of_where_a_picture_was_taken(
    client: httpx.Client, format: str, media_type: str
) -> None:
    data = tagged(format)
    with Image.open(BytesIO(data)) as image:
        assert image.getexif().get_ifd(0x8825)[4] == (2.0, 17.0, 40.0)
        assert {"icc_profile", "exif"} <= {*image.info}
    assert data.count(b"SECRET") >= 2
    answer = client.post("/v1/augment/preview?seed=1", content=data, headers={"Accept": media_type})
    form = client.post("/v1/augment/preview?seed=1&params=true", files={"image": data}, headers={"Accept": media_type})
    for body in (answer.content, form.content):
        assert b"SECRET" not in body
        assert not re.search(rb"Exif|ICC_PROFILE|iCCP|eXIf|tEXt|iTXt|zTXt|EXIF|XMP |xmpmeta", body)
    with Image.open(BytesIO(answer.content)) as image:
        assert not image.getexif()
        assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & {*image.info}


# Other clients' pixels.


def everything(client: httpx.Client) -> list[tuple[int, bytes]]:
    """Status and body of requests that go through every pipeline and every way to write results, some of them bad."""
    names = [pipeline["name"] for pipeline in client.get("/v1/pipelines").json()["pipelines"]]
    images = [
        make_file("JPEG", (150, 100)),
        make_file("PNG", (99, 301), name="coffee"),
        make_file("JPEG", (240, 180))[:4000],
        make_file("WEBP", (64, 64), name="rocket"),
    ]
    ragged = [("image", ("x", image)) for image in images]
    labelled = [part for image in images for part in (("image", ("x", image)), ("labels", ("x", b"3")))]
    boxes = [part for image in images for part in (("image", ("x", image)), ("boxes", ("x", b"[[1,2,30,40]]")))]
    answers = []
    for name in names:
        url = f"/v1/augment/{name}?seed=7"
        for files, accept in ((ragged, NPY), (ragged, WEBP), (labelled, PNG), (boxes, SAFETENSORS)):
            answers.append(client.post(url, files=files, headers={"Accept": accept, "X-Request-Id": "same"}))
        answers.append(client.post(f"{url}&views=8", content=images[0], headers={"X-Request-Id": "same"}))
    return [(answer.status_code, without_boundary(answer)) for answer in answers]


def without_boundary(answer: httpx.Response) -> bytes:
    """The body, whose boundary is drawn anew each time."""
    found = re.search(r"boundary=\"?([^\";]+)", answer.headers.get("content-type", ""))
    return answer.content.replace(found[1].encode(), b"") if found else answer.content


@pytest.fixture(scope="module")
def untouched(live: Live) -> list[tuple[int, bytes]]:
    with httpx.Client(base_url=live.url, timeout=60) as client:
        return everything(client)


def test_memory_that_is_used_again_never_shows(client: httpx.Client, untouched: list[tuple[int, bytes]]) -> None:
    assert {status for status, _ in untouched} >= {200, 422}
    pool = engine_executor._results()
    assert pool.free > 0
    for poison in (0xA5, 0x00):
        assert pool.free > 0  # which takes back what was lent
        for slab in pool._free:
            slab[:] = poison
        assert everything(client) == untouched


def test_memory_that_is_not_yet_written_never_shows(
    monkeypatch: pytest.MonkeyPatch, untouched: list[tuple[int, bytes]]
) -> None:
    monkeypatch.setenv("MALLOC_PERTURB_", "165")  # glibc fills all it hands out, and all it takes back
    with server_process() as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        assert everything(client) == untouched


# How the server is made.


STAGES = {
    "negotiation": ("augserve_server.routes.augment.negotiate", "/v1/augment/preview"),
    "reading": ("augserve_server.requests._body", "/v1/augment/preview"),
    "the header": ("augserve_server.engine.peek", "/v1/augment/preview"),
    "decoding": ("augserve_server.decoding.decode", "/v1/augment/preview"),
    "the look at a sample": ("augserve_server.inspection.Inspector.look", "/v1/augment/preview?params=true"),
    "drawing": ("augserve_server.orders.Order.seeds", "/v1/augment/preview"),
    "running": ("augserve_server.work.OverImages.run", "/v1/augment/preview"),
    "running samples": ("augserve_server.work.OverSamples.run", "/v1/augment/preview?params=true"),
    "encoding": ("augserve_server.results.encode", "/v1/augment/preview"),
    "encoding parts": ("augserve_server.results.write_parts", "/v1/augment/preview?params=true"),
    "answering": ("augserve_server.routes.augment.answer", "/v1/augment/preview"),
    "replaying": ("augserve_server.engine.Engine.replay", "/v1/replay"),
    "listing": ("augserve_server.routes.pipelines._summary", "/v1/pipelines"),
    "explaining": ("augserve_server.routes.pipelines.explained", "/v1/pipelines/preview?explain=true"),
    "measuring": ("augserve_server.metrics.Metrics.text", "/metrics"),
    "health": ("augserve_server.service.Service.unready", "/readyz"),
    "the gate": ("augserve_server.auth.Auth.authorize_request", "/v2/models/preview/infer"),
}


@pytest.mark.parametrize(("place", "path"), STAGES.values(), ids=STAGES)
def test_a_mistake_of_ours_tells_a_client_nothing(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str, path: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(place, fail)
    if path.startswith(("/v1/augment", "/v1/replay")):
        parts = {"image": make_file("PNG", (30, 40))} | ({"record": b"{}"} if "replay" in path else {})
        answer = client.post(path, files=parts)
    elif "/infer" in path:
        answer = client.post(path, content=b"{}")
    else:
        answer = client.get(path)
    assert answer.status_code == 500
    document = answer.json()
    told = document["error"] if path.startswith("/v2") else document["detail"]
    assert told == "the server made a mistake; its log has the details under this request id"
    seen = f"{answer.text} {answer.headers}"
    assert not re.search(r"secret|hunter2|Traceback|RuntimeError|\.py|site-packages|/srv", seen)
    assert answer.headers["cache-control"] == "no-store"
    assert SECRET in caplog.text


def test_pictures_cannot_act_as_pages_and_no_type_is_guessed(client: httpx.Client) -> None:
    for accept in (JPEG, PNG, WEBP):
        answer = client.post("/v1/augment/thumbnail", content=make_file(), headers={"Accept": accept})
        assert answer.headers["content-type"] == accept
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    others = [
        client.post("/v1/augment/thumbnail", content=make_file(), headers={"Accept": NPY}),
        client.post("/v1/augment/thumbnail", content=b"GIF89a<script>"),
        *(client.get(path) for path in ("/healthz", "/metrics", "/docs", "/v1/pipelines", "/nowhere")),
    ]
    for answer in others:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert ("no-store" in answer.headers.get("cache-control", "")) == (answer.status_code >= 400)
        assert "server" not in answer.headers


def test_parts_of_an_answer_are_named_attachments(client: httpx.Client) -> None:
    answer = client.post("/v1/augment/preview?params=true", files={"image": make_file()})
    assert answer.headers["content-type"].startswith("multipart/mixed")
    assert b'Content-Disposition: attachment; name="image"' in answer.content


def test_names_that_clients_make_up_are_no_labels(live: Live, client: httpx.Client) -> None:
    def series() -> set[tuple[str, ...]]:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return {(s.name, *map(str, sorted(s.labels.items()))) for family in families for s in family.samples}

    def visit(i: int) -> None:
        client.post(f"/v1/augment/made-up-{i}", content=b"x", headers={"User-Agent": f"me-{i}"})
        client.get(f"/v1/pipelines/made-up-{i}?height=x{i}")
        client.get(f"/nowhere-{i}")
        client.request(f"MADEUP{i}", "/healthz")
        client.put(f"/v1/augment/thumbnail?x={i}", headers={"X-Request-Id": f"id-{i}"})

    visit(0)
    series()
    until(lambda: live.metric("requests_total", pipeline="", status="200") > 0)
    before = series()
    for i in range(1, 30):
        visit(i)
    assert series() == before


def test_what_a_form_is_called_forges_no_line_of_the_log(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "augserve"):
        for name in ("a\r\nX: y", "a\n2026-01-01 ERROR forged", "\x1b[31mred", "‮gnp.exe", "a" * 5000):
            head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\nx\r\n--b--\r\n'
            content_type = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = client.post("/v1/augment/thumbnail", content=head.encode(), headers=content_type)
            assert answer.status_code == 400
            assert len(answer.content) < 2000
            json.loads(answer.content)
    lines = [record.getMessage() for record in caplog.records]
    assert not any(re.search(r"[\r\n\x1b‮]", line) for line in lines)
    assert all(len(line) < 500 for line in lines)


@pytest.mark.parametrize("headers", [b"X: " + b"y" * 100_000, b"X: y\r\n" * 100, b"x" * 100_000])
def test_the_heads_of_parts_do_not_grow_for_ever(client: httpx.Client, headers: bytes) -> None:
    body = b"--b\r\n" + headers + b'\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--b--\r\n'
    content_type = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/v1/augment/thumbnail", content=body, headers=content_type)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:augserve:error:body-malformed")


@pytest.mark.parametrize("part", ["boxes", "keypoints", "labels", "record"])
def test_json_that_is_nested_deeply_is_refused_where_it_stands(client: httpx.Client, part: str) -> None:
    for depth in (300, 100_000):
        nest = b"[" * depth + b"1" + b"]" * depth
        path = "/v1/replay" if part == "record" else "/v1/augment/preview"
        answer = client.post(path, files={"image": make_file("PNG", (30, 40)), part: nest})
        assert answer.status_code in (413, 422), answer.text
        assert len(answer.content) < 2000


def test_a_result_with_too_long_a_side_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "flip.yaml").write_text("transforms: [RandomVerticalFlip]")
    pair = [("image", ("a", make_file("PNG", (20, 101)))), ("image", ("b", make_file("PNG", (20, 100))))]
    with run_server(pipelines=tmp_path, max_output_side=100) as live, httpx.Client(base_url=live.url) as client:
        alone = client.post("/v1/augment/flip", content=make_file("PNG", (101, 20)))
        both = client.post("/v1/augment/flip", files=pair)
        parts = client.post("/v1/augment/flip?params=true", content=make_file("PNG", (101, 20)))
    assert (alone.status_code, alone.json()["type"]) == (422, "urn:augserve:error:image-unsuitable")
    assert alone.json()["detail"] == "the result has a side of 101 pixels; at most 100 are sent"
    assert (both.status_code, both.headers["augserve-failed"]) == (200, "1")
    assert parts.status_code == 422


def test_bodies_that_are_compressed_once_more_are_not_unpacked(client: httpx.Client) -> None:
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        answer = client.post("/v1/augment/preview", content=b"x" * 1000, headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
