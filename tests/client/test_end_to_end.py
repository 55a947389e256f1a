"""Both clients against the real service on a real socket; what they give is what the engine gives in this process."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import CORRUPT, both
from PIL import Image

import augserve
from augserve import AsyncClient, Client
from augserve_pipelines import Pipeline
from factories import make_file, make_files, make_images, make_picture, make_pixels


def ask(kind: type, address: str, method: str, *args: Any, **options: Any) -> Any:
    of_client = {name.removeprefix("client_"): options.pop(name) for name in list(options) if name[:7] == "client_"}
    if kind is Client:
        with Client(address, **of_client) as client:
            return getattr(client, method)(*args, **options)

    async def call() -> Any:
        async with AsyncClient(address, **of_client) as client:
            return await getattr(client, method)(*args, **options)

    return asyncio.run(call())


def in_process(pipelines: Path, name: str, images: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
    batch = Pipeline.load(pipelines / f"{name}.yaml")(images, seeds)
    return [batch[i] for i in range(len(batch))]


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["train", "as_it_is", "imagenet_train", "thumbnail"])
@pytest.mark.parametrize("images_per_request", [3, 64])
def test_results_are_the_engines_bit_for_bit(
    kind: type, address: str, pipelines: Path, name: str, form: str, images_per_request: int
) -> None:
    images = make_images(7)
    results = ask(
        kind, address, "augment", name, images, seed=40, as_=form, client_images_per_request=images_per_request
    )
    expected = in_process(pipelines, name, images, range(40, 47))
    assert len(results) == 7
    for result, one in zip(results, expected, strict=True):
        result = torch.as_tensor(result)
        assert result.dtype == one.dtype
        assert torch.equal(result, one)
    assert results.fingerprint == Pipeline.load(pipelines / f"{name}.yaml").fingerprint


@both
def test_views_are_drawn_with_consecutive_seeds(kind: type, address: str, pipelines: Path) -> None:
    images = make_images(3)
    results = ask(kind, address, "augment", "train", images, seed=5, views=4, as_="torch", client_images_per_request=2)
    repeated = [image for image in images for _ in range(4)]
    expected = in_process(pipelines, "train", repeated, range(5, 17))
    assert torch.equal(results.stack(), torch.stack(expected))


@both
def test_one_image_alone_is_one_of_several(kind: type, address: str) -> None:
    image = make_images(1)[0]
    alone = ask(kind, address, "augment", "train", image, seed=9)
    assert alone.shape == (3, 64, 64)
    assert np.array_equal(alone, ask(kind, address, "augment", "train", [image], seed=9)[0])
    views = ask(kind, address, "augment", "train", image, seed=9, views=3)
    assert np.array_equal(alone, views[0])
    assert not np.array_equal(alone, views[1])


@both
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "YCbCr"])
def test_a_picture_arrives_as_the_file_that_pillow_would_write(kind: type, address: str, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(make_picture(size=(33, 50), mode="L")).astype(np.uint16) * 257)
    else:
        picture = make_picture(size=(33, 50), mode=mode)
    buffer = io.BytesIO()
    picture.convert("RGB" if mode == "YCbCr" else mode).save(buffer, "TIFF")
    for name in ("as_it_is", "as_gray"):
        sent, saved = ask(kind, address, "augment", name, [picture, buffer.getvalue()]).raise_for_errors()
        assert np.array_equal(sent, saved)


@both
def test_pixels_come_back_exactly(kind: type, address: str) -> None:
    pixels = make_pixels(size=(33, 50))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for image in (pixels, tensor, make_picture(size=(33, 50)), make_file("PNG", (33, 50))):
        assert np.array_equal(ask(kind, address, "augment", "as_it_is", image), tensor.numpy())
    gray = pixels[:, :, 1]
    assert np.array_equal(ask(kind, address, "augment", "as_gray", gray), gray[np.newaxis])


@both
def test_pixels_over_the_limit_of_one_image_come_back_exactly(kind: type, address: str) -> None:
    pixels = np.tile(make_pixels(size=(500, 500)), (7, 7, 1))
    result = ask(kind, address, "augment", "as_it_is", pixels)
    assert np.array_equal(result, pixels.transpose(2, 0, 1))


@both
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floats_are_cast_exactly(kind: type, address: str, pipelines: Path, dtype: str) -> None:
    images = make_images(3)
    expected = torch.stack(in_process(pipelines, "train", images, range(3))).to(getattr(torch, dtype))
    tensors = ask(kind, address, "augment", "train", images, seed=0, dtype=dtype, as_="torch").stack()
    assert tensors.dtype == expected.dtype
    assert torch.equal(tensors, expected)
    arrays = ask(kind, address, "augment", "train", images, seed=0, dtype=dtype).stack()
    widened = expected.float() if dtype == "bfloat16" else expected
    assert np.array_equal(arrays, widened.numpy())


@both
@pytest.mark.parametrize("media_type", ["image/png", "image/webp", "image/jpeg", None])
def test_encoded_results_are_files(kind: type, address: str, media_type: str | None) -> None:
    results = ask(kind, address, "augment", "thumbnail", make_files(3), seed=1, as_="bytes", media_type=media_type)
    assert results.media_type == (media_type or "image/jpeg")
    for file in results:
        image = Image.open(io.BytesIO(file))
        image.load()
        assert image.get_format_mimetype() == results.media_type


@both
def test_a_png_holds_the_pixels_of_the_array(kind: type, address: str) -> None:
    images = make_images(2)
    files = ask(kind, address, "augment", "thumbnail", images, seed=1, as_="bytes", media_type="image/png")
    arrays = ask(kind, address, "augment", "thumbnail", images, seed=1)
    for file, array in zip(files, arrays, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1), array)


@both
@pytest.mark.parametrize("count", [1, 3])
def test_arrays_are_files_as_well(kind: type, address: str, count: int) -> None:
    images = make_images(count)
    arrays = ask(kind, address, "augment", "train", images, seed=1)
    for media_type in ("application/x-npy", None):
        files = ask(kind, address, "augment", "train", images, seed=1, as_="bytes", media_type=media_type)
        assert files.media_type == "application/x-npy"
        for file, array in zip(files, arrays, strict=True):
            assert np.array_equal(np.load(io.BytesIO(file)), array)


@both
@pytest.mark.parametrize("images_per_request", [1, 2, 64])
def test_bad_images_fail_alone(kind: type, address: str, images_per_request: int) -> None:
    good = make_files(4)
    images = [good[0], CORRUPT, good[1], good[2][:500], b"", good[3]]
    options = {"seed": 3, "views": 2, "client_images_per_request": images_per_request}
    results = ask(kind, address, "augment", "train", images, **options)
    assert sorted(results.errors) == [2, 3, 6, 7, 8, 9]
    assert all(isinstance(error, augserve.ImageRejected) for error in results.errors.values())
    assert [results.errors[i].slug for i in (2, 6)] == ["format-not-allowed", "image-truncated"]
    for i in (0, 2, 5):
        alone = ask(kind, address, "augment", "train", images[i], seed=3 + 2 * i)
        assert np.array_equal(results[2 * i], alone)


@both
def test_an_image_that_does_not_suit_the_pipeline_fails_alone(kind: type, address: str) -> None:
    images = [make_pixels(size=(120, 120)), make_pixels(size=(99, 120))]
    results = ask(kind, address, "augment", "needs_100", images)
    assert results[0].shape == (3, 100, 100)
    assert results.errors[1].slug == "image-unsuitable"
    with pytest.raises(augserve.ImageRejected, match="image-unsuitable"):
        ask(kind, address, "augment", "needs_100", images[1])


@both
def test_a_pipeline_that_is_not_there_is_an_error_that_names_the_nearest(kind: type, address: str) -> None:
    with pytest.raises(augserve.PipelineNotFound, match="imagenet_train"):
        ask(kind, address, "augment", "imagenet_trian", make_files(1))
    with pytest.raises(augserve.PipelineNotFound):
        ask(kind, address, "describe", "imagenet_trian")


@both
def test_what_the_pipeline_does_not_do_is_refused(kind: type, address: str) -> None:
    with pytest.raises(augserve.RequestRejected, match="dtype"):
        ask(kind, address, "augment", "thumbnail", make_files(1), dtype="float16")
    with pytest.raises(augserve.RequestRejected, match="format is 'image/png'"):
        ask(kind, address, "augment", "train", make_files(1), as_="bytes", media_type="image/png")


@both
def test_a_request_over_a_limit_of_the_server_is_refused(kind: type, address: str) -> None:
    options = {"views": 1, "client_images_per_request": 300}
    with pytest.raises(augserve.LimitExceeded, match="too-many-images") as raised:
        ask(kind, address, "augment", "as_it_is", make_files(1) * 257, **options)
    assert raised.value.limit == 256


@both
def test_bodies_are_kept_under_the_limit(kind: type, address: str) -> None:
    images = [make_file("BMP", (2000, 2000))] * 12  # of 12 MB each
    results = ask(kind, address, "augment", "thumbnail", images, seed=0)
    assert not results.errors
    assert len(results.request_ids) == 3


@both
def test_a_deadline_that_is_too_short_is_a_timeout(kind: type, address: str) -> None:
    with pytest.raises(augserve.Timeout):
        ask(kind, address, "augment", "imagenet_train", make_files(64), timeout=0.01)


@both
def test_what_is_served_is_listed_and_described(kind: type, address: str, pipelines: Path) -> None:
    listed = {pipeline.name: pipeline for pipeline in ask(kind, address, "pipelines")}
    assert listed.keys() == {path.stem for path in pipelines.iterdir()}
    for name, pipeline in listed.items():
        assert pipeline.fingerprint == Pipeline.load(pipelines / f"{name}.yaml").fingerprint
    details = ask(kind, address, "describe", "imagenet_train")
    assert details.output.model_dump() == {"dtype": "float32", "channels": 3, "height": 224, "width": 224}
    assert details.media_types == ("application/x-npy", "application/vnd.safetensors")
    assert (details.revision, details.parity) == (1, "torchvision")
    assert "RandomResizedCrop" in details.yaml


@both
def test_a_service_is_ready_or_not_there(kind: type, address: str) -> None:
    assert ask(kind, address, "ready") is True
    assert ask(kind, "http://127.0.0.1:1", "ready") is False


@both
def test_timing_is_told(kind: type, address: str) -> None:
    results = ask(kind, address, "augment", "train", make_files(4))
    assert {"decode", "queue", "run", "encode"} <= results.timing_ms.keys()
    assert all(duration_ms >= 0 for duration_ms in results.timing_ms.values())


def test_threads_may_share_a_client(address: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = make_files(24)
    with Client(address) as client, ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda i: client.augment("train", images[i], seed=i), range(24)))
        together = client.augment("train", images, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_calls_may_be_awaited_together(address: str) -> None:
    async def calls() -> list[Any]:
        async with AsyncClient(address) as client:
            return await asyncio.gather(*(client.augment("train", image, seed=i) for i, image in enumerate(images)))

    images = make_files(24)
    alone = asyncio.run(calls())
    with Client(address) as client:
        together = client.augment("train", images, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
