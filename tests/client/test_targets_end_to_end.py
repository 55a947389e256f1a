"""Both clients against the real service: samples, clips and records, compared with torchvision bit for bit."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Mapping
from typing import Any

import av
import numpy as np
import pytest
import torch
from asking import CORRUPT, both
from PIL import Image
from recipes import (
    RECIPES,
    Pair,
    boxes_of,
    detection_pair,
    expected,
    image_of,
    image_pair,
    keypoints_pair,
    segmentation_pair,
)

import augserve
from augserve import AsyncClient, Augmented, Client, Clip, Record, Sample, wire
from factories import make_files, make_pixels
from oracle import tv_functional, tv_tensors, v2
from serving import run_server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the recipes are served."""
    folder = tmp_path_factory.mktemp("recipes")
    for name, recipe in RECIPES.items():
        (folder / f"{name}.yaml").write_text(recipe.yaml)
    with run_server(pipelines=folder, decode_threads=2, encode_threads=2) as live:
        yield live.url


def ask(kind: type, service: str, method: str, *args: Any, **options: Any) -> Any:
    if kind is Client:
        with Client(service) as client:
            return getattr(client, method)(*args, **options)

    async def call() -> Any:
        async with AsyncClient(service) as client:
            return await getattr(client, method)(*args, **options)

    return asyncio.run(call())


def check(result: Any, outputs: Mapping[str, Any]) -> None:
    """Every tensor and every bit of a result is torchvision's."""
    assert isinstance(result, Augmented)
    for name in ("image", "boxes", "masks", "keypoints", "labels"):
        found, wanted = getattr(result, name), outputs.get(name)
        assert (found is None) == (wanted is None), name
        if wanted is not None:
            found = torch.as_tensor(found)
            assert found.dtype == wanted.dtype, name
            assert torch.equal(found, wanted.as_subclass(torch.Tensor)), name
    boxes, keypoints = outputs.get("boxes"), outputs.get("keypoints")
    if boxes is not None:
        assert (result.box_format, result.clamping_mode) == (boxes.format.value, boxes.clamping_mode)
        assert result.canvas_size == tuple(boxes.canvas_size)
    if keypoints is not None:
        assert result.canvas_size == tuple(keypoints.canvas_size)


def check_all(results: Any, recipe: str, seed: int, pairs: list[Pair], views: int = 1) -> None:
    assert len(results) == len(pairs) * views
    for r, result in enumerate(results.raise_for_errors()):
        check(result, expected(recipe, seed + r, **pairs[r // views].inputs))


@both
@pytest.mark.parametrize(("form", "format"), [("numpy", "XYXY"), ("torch", "XYWH"), ("torch", "CXCYWH")])
def test_detection_is_torchvisions(kind: type, service: str, form: str, format: str) -> None:
    pairs = [detection_pair(i, format) for i in range(6)]
    samples = [pair.sample for pair in pairs]
    results = ask(kind, service, "augment", "detection", samples, seed=40, views=2, as_=form)
    check_all(results, "detection", 40, pairs, views=2)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_segmentation_is_torchvisions(kind: type, service: str, form: str) -> None:
    pairs = [segmentation_pair(i) for i in range(3)]
    results = ask(kind, service, "augment", "segmentation", [pair.sample for pair in pairs], seed=7, as_=form)
    check_all(results, "segmentation", 7, pairs)


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_keypoints_are_torchvisions(kind: type, service: str, form: str) -> None:
    pairs = [keypoints_pair(i) for i in range(6)]
    results = ask(kind, service, "augment", "keypoints", [pair.sample for pair in pairs], seed=7, as_=form)
    check_all(results, "keypoints", 7, pairs)


def values_of(format: str, seed: int) -> torch.Tensor:
    """Three boxes in an image of 60 x 90, turned where the format can say so."""
    upright = boxes_of(3, (60, 90), "CXCYWH", seed=seed)
    if not tv_tensors.is_rotated_bounding_format(format):
        return tv_functional.convert_bounding_box_format(upright, new_format=format)
    values = torch.cat([torch.as_tensor(upright), torch.tensor([[20.0], [-70.0], [0.0]])], 1)
    turned = tv_tensors.BoundingBoxes(values, format="CXCYWHR", canvas_size=(60, 90))
    return tv_functional.convert_bounding_box_format(turned, new_format=format)


@both
@pytest.mark.parametrize("format", wire.BOX_COLUMNS)
def test_boxes_of_every_format_are_torchvisions(kind: type, service: str, format: Any) -> None:
    for i, mode in enumerate(["soft", "hard", None]):
        values = values_of(format, seed=i)
        boxes = tv_tensors.BoundingBoxes(values, format=format, canvas_size=(60, 90), clamping_mode=mode)
        pixels = make_pixels(size=(60, 90))
        result = ask(kind, service, "augment", "keypoints", Sample(pixels, boxes=boxes), seed=i, as_="torch")
        check(result, expected("keypoints", i, image=image_of(pixels), boxes=boxes))


def moving(frames: int, size: tuple[int, int] = (60, 90)) -> np.ndarray:
    """A photograph that shifts: [T, H, W, C]."""
    wide = make_pixels("chelsea", size=(size[0], size[1] + 4 * frames))
    return np.stack([wide[:, 4 * i : 4 * i + size[1]] for i in range(frames)])


@both
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_clips_are_torchvisions_with_one_draw_for_all_frames(kind: type, service: str, form: str) -> None:
    frames = moving(5)
    one = ask(kind, service, "augment", "frames", Clip(frames), seed=3, as_=form)
    wanted = expected("frames", 3, image=image_of(frames))["image"]
    assert torch.equal(torch.as_tensor(one), wanted.as_subclass(torch.Tensor))
    results = ask(kind, service, "augment", "frames", [Clip(frames), Clip(moving(2))], seed=3, views=2, as_=form)
    for r, result in enumerate(results.raise_for_errors()):
        clip = frames if r < 2 else moving(2)
        wanted = expected("frames", 3 + r, image=image_of(clip))["image"]
        assert torch.equal(torch.as_tensor(result), wanted.as_subclass(torch.Tensor))


@both
def test_a_video_recipe_is_torchvisions(kind: type, service: str) -> None:
    clips = [moving(count) for count in (20, 16, 3)]
    results = ask(kind, service, "augment", "video", [Clip(clip) for clip in clips], seed=3, as_="torch")
    for r, result in enumerate(results.raise_for_errors()):
        wanted = expected("video", 3 + r, image=image_of(clips[r]))["image"]
        assert torch.equal(result, wanted.as_subclass(torch.Tensor))
    assert results.stack().shape == (3, 16, 3, 112, 112)


@both
def test_randaugment_is_torchvisions(kind: type, service: str) -> None:
    files = make_files(12)
    results = ask(kind, service, "augment", "imagenet_randaugment", files, seed=3, as_="torch")
    for r, result in enumerate(results.raise_for_errors()):
        pixels = np.asarray(Image.open(io.BytesIO(files[r])).convert("RGB"))
        wanted = expected("imagenet_randaugment", 3 + r, image=image_of(pixels))["image"]
        assert torch.equal(result, wanted.as_subclass(torch.Tensor))


@both
def test_an_animated_image_is_the_clip_of_its_frames(kind: type, service: str) -> None:
    frames = moving(4)
    file = io.BytesIO()
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:], lossless=True, duration=40)
    result = ask(kind, service, "augment", "frames", Clip(file.getvalue()), seed=3, as_="torch")
    assert torch.equal(result, expected("frames", 3, image=image_of(frames))["image"].as_subclass(torch.Tensor))


def encoded_video(frames: np.ndarray) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@both
def test_a_video_is_the_clip_of_its_frames(kind: type, service: str, tmp_path: Any) -> None:
    path = tmp_path / "cat.mp4"
    path.write_bytes(encoded_video(moving(6)))
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    result = ask(kind, service, "augment", "frames", Clip(path), seed=3, as_="torch")
    assert len(result) == 6
    assert torch.equal(result, expected("frames", 3, image=image_of(frames))["image"].as_subclass(torch.Tensor))


@both
def test_clips_may_have_targets(kind: type, service: str) -> None:
    frames, boxes = moving(3), boxes_of(3, (60, 90))
    masks = np.random.default_rng(0).integers(0, 5, (3, 60, 90)).astype(np.uint8)
    result = ask(kind, service, "augment", "frames", Sample(Clip(frames), boxes=boxes, masks=masks), seed=3)
    check(result, expected("frames", 3, image=image_of(frames), boxes=boxes, masks=tv_tensors.Mask(masks)))


@both
def test_results_as_files_have_the_same_targets(kind: type, service: str) -> None:
    pairs = [detection_pair(i) for i in range(3)]
    samples = [pair.sample for pair in pairs]
    results = ask(kind, service, "augment", "frames", samples, seed=5, as_="bytes", media_type="image/png", params=True)
    for r, result in enumerate(results.raise_for_errors()):
        decoded = np.array(Image.open(io.BytesIO(result.image)))
        masks = np.load(io.BytesIO(result.masks))
        outputs = expected("frames", 5 + r, **pairs[r].inputs)
        as_arrays = Augmented(
            np.moveaxis(decoded, -1, 0),
            boxes=result.boxes,
            masks=masks,
            labels=result.labels,
            box_format=result.box_format,
            canvas_size=result.canvas_size,
            clamping_mode=result.clamping_mode,
        )
        check(as_arrays, outputs)
        assert result.record.seed == 5 + r


@both
def test_one_mask_as_a_file_is_a_picture_both_ways(kind: type, service: str) -> None:
    pair = segmentation_pair(0)
    file = io.BytesIO()
    Image.fromarray(pair.sample.masks).save(file, "PNG")
    sample = Sample(pair.sample.image, masks=file.getvalue())
    result = ask(kind, service, "augment", "keypoints", sample, seed=5, as_="bytes", media_type="image/png")
    wanted = expected("keypoints", 5, **pair.inputs)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(result.masks))), wanted["masks"].numpy())
    assert np.array_equal(np.moveaxis(np.asarray(Image.open(io.BytesIO(result.image))), -1, 0), wanted["image"].numpy())


@both
def test_a_clip_as_files_is_a_list_of_frames(kind: type, service: str) -> None:
    frames = moving(3)
    files = ask(kind, service, "augment", "frames", Clip(frames), seed=3, as_="bytes", media_type="image/png")
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    assert np.array_equal(np.moveaxis(decoded, -1, 1), expected("frames", 3, image=image_of(frames))["image"].numpy())


@both
def test_empty_targets_stay_empty(kind: type, service: str) -> None:
    pixels = make_pixels(size=(60, 90))
    sample = Sample(pixels, boxes=[], box_format="CXCYWH", keypoints=[], labels=[], masks=np.zeros((0, 60, 90), bool))
    for form in ("numpy", "torch", "bytes"):
        result = ask(kind, service, "augment", "frames", sample, seed=3, as_=form)
        assert (tuple(result.boxes.shape), tuple(result.keypoints.shape)) == ((0, 4), (0, 2))
        assert (result.box_format, tuple(result.labels.shape)) == ("CXCYWH", (0,))


@both
def test_all_kinds_go_together_and_each_is_as_if_alone(kind: type, service: str) -> None:
    pixels, frames = make_pixels(size=(60, 90)), moving(2)
    items = [pixels, detection_pair(1).sample, Clip(frames), CORRUPT, keypoints_pair(2).sample]
    results = ask(kind, service, "augment", "frames", items, seed=3, as_="torch")
    assert list(results.errors) == [3]
    assert torch.equal(results[0], expected("frames", 3, image=image_of(pixels))["image"].as_subclass(torch.Tensor))
    check(results[1], expected("frames", 4, **detection_pair(1).inputs))
    assert torch.equal(results[2], expected("frames", 5, image=image_of(frames))["image"].as_subclass(torch.Tensor))
    check(results[4], expected("frames", 7, **keypoints_pair(2).inputs))


PAIRS = {
    "detection": detection_pair,
    "segmentation": segmentation_pair,
    "keypoints": keypoints_pair,
    "frames": detection_pair,
    "imagenet_randaugment": image_pair,
    "elastic": segmentation_pair,
}


@both
@pytest.mark.parametrize("recipe", PAIRS)
def test_a_replay_gives_the_same_bytes(kind: type, service: str, recipe: str) -> None:
    samples = [PAIRS[recipe](i).sample for i in range(3)]
    first = ask(kind, service, "augment", recipe, samples, seed=11, views=2, as_="torch", params=True)
    records = [Record.from_json(result.record.to_json()) for result in first.raise_for_errors()]
    repeated = [sample for sample in samples for _ in range(2)]
    again = ask(kind, service, "replay", repeated, records, as_="torch").raise_for_errors()
    for one, other in zip(first, again, strict=True):
        for name in ("image", "boxes", "masks", "keypoints", "labels"):
            before, after = getattr(one, name), getattr(other, name)
            assert (before is None and after is None) or torch.equal(before, after), name
        assert (one.box_format, one.canvas_size) == (other.box_format, other.canvas_size)


@both
def test_targets_are_replayed_without_their_image(kind: type, service: str) -> None:
    for i in range(3):
        pair = segmentation_pair(i)
        record = ask(kind, service, "augment", "keypoints", pair.sample.image, seed=i, params=True).record
        mask = ask(kind, service, "replay", Sample(None, masks=pair.sample.masks), record)
        wanted = expected("keypoints", i, **pair.inputs)
        assert mask.image is None
        assert np.array_equal(mask.masks, wanted["masks"].numpy())


@both
def test_what_was_drawn_for_an_image_is_replayed_on_a_clip(kind: type, service: str) -> None:
    frames = moving(3)
    record = ask(kind, service, "augment", "keypoints", frames[0], seed=5, params=True).record
    wanted = expected("keypoints", 5, image=image_of(frames))["image"]
    result = ask(kind, service, "replay", Clip(frames), record)
    assert np.array_equal(result.image, wanted.numpy())
    files = ask(kind, service, "replay", [frames[1], frames[2]], record, as_="bytes", media_type="image/png")
    for i, result in enumerate(files.raise_for_errors()):
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(result.image))), np.moveaxis(wanted[i + 1].numpy(), 0, -1)
        )


@both
def test_a_sample_of_another_size_cannot_be_replayed_on(kind: type, service: str) -> None:
    record = ask(kind, service, "augment", "keypoints", make_pixels(size=(60, 90)), seed=5, params=True).record
    results = ask(kind, service, "replay", [make_pixels(size=(60, 90)), make_pixels(size=(61, 90))], record)
    assert list(results.errors) == [1]
    assert (results.errors[1].slug, results.errors[1].field) == ("record-invalid", "record")


@both
def test_points_of_results_are_found_in_their_images(kind: type, service: str) -> None:
    for i in range(8):
        pair = keypoints_pair(i)
        result = ask(kind, service, "augment", "keypoints", pair.sample, seed=i, params=True)
        assert result.record.input_size == pair.sample.image.shape[:2]
        assert result.record.output_size == (64, 64)
        back = result.record.invert_points(result.keypoints)
        assert np.abs(back - pair.sample.keypoints).max() < 1e-3


@both
def test_boxes_of_results_are_found_in_their_images(kind: type, service: str) -> None:
    for i in range(8):
        size = (90 + 7 * i, 120 - 5 * i)
        boxes = np.asarray(boxes_of(4, size, seed=i))
        given = Sample(make_pixels(size=size), boxes=boxes, clamping_mode=None)
        result = ask(kind, service, "augment", "frames", given, seed=i, params=True)
        assert np.abs(result.record.invert_boxes(result.boxes) - boxes).max() < 1e-3


@both
def test_what_was_bent_has_no_way_back(kind: type, service: str) -> None:
    record = ask(kind, service, "augment", "elastic", make_pixels(size=(60, 90)), seed=1, params=True).record
    assert record.matrix is None
    with pytest.raises(augserve.NotInvertible, match="elastic"):
        record.invert_points([[1, 2]])


def mixed(seed: int, images: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What torchvision makes of a batch under a seed."""
    torch.manual_seed(seed)
    mix = v2.RandomChoice([v2.MixUp(num_classes=1000, alpha=0.2), v2.CutMix(num_classes=1000)])
    images, labels = mix(torch.stack(images), labels)
    return images, labels


@both
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_mixing_stays_within_a_request_and_is_torchvisions(kind: type, service: str, seed: int) -> None:
    sizes = [(60 + i, 90 - i) for i in range(4)]
    samples = [Sample(make_pixels(size=size), labels=i) for i, size in enumerate(sizes)]
    results = ask(kind, service, "augment", "imagenet_cutmix", samples, seed=seed, as_="torch").raise_for_errors()
    alone = [
        expected("imagenet_cutmix", seed + i, image=image_of(make_pixels(size=size)))["image"].as_subclass(torch.Tensor)
        for i, size in enumerate(sizes)
    ]
    images, labels = mixed(seed + 4, alone, torch.arange(4))
    assert torch.equal(torch.stack([result.image for result in results]), images)
    assert torch.equal(torch.stack([result.labels for result in results]), labels)


@both
def test_targets_that_do_not_fit_fail_alone(kind: type, service: str) -> None:
    pixels = make_pixels(size=(60, 90))
    items = [
        Sample(pixels, masks=np.zeros((61, 90), np.uint8)),
        Sample(pixels, masks=np.zeros((60, 90), np.uint8)),
        Sample(pixels, boxes=np.zeros((20_000, 4), np.float32)),
        Sample(pixels, masks=b"\x89PNG and no more"),
        Clip([pixels, pixels[:50]]),
        Clip(CORRUPT),
    ]
    results = ask(kind, service, "augment", "frames", items, seed=3)
    assert list(results.errors) == [0, 2, 3, 4, 5]
    assert all(isinstance(error, augserve.ImageRejected) for error in results.errors.values())
    assert [results.errors[i].slug for i in (0, 2, 4)] == ["target-invalid", "target-too-large", "clip-invalid"]
    assert [results.errors[i].field for i in (0, 2, 3)] == ["masks", "boxes", "masks"]
    with pytest.raises(augserve.ImageRejected, match="target-invalid"):
        ask(kind, service, "augment", "frames", items[0])


@both
def test_a_record_that_was_tampered_with_is_refused(kind: type, service: str) -> None:
    pixels = make_pixels(size=(60, 90))
    text = ask(kind, service, "augment", "frames", pixels, seed=1, params=True).record.to_json()
    name = Record.from_json(text).operations[0].name
    for forged in (text.replace(f'"{name}"', '"no_such_functional"'), text.replace("48", "480000000")):
        assert forged != text
        with pytest.raises(augserve.ServiceError) as raised:
            ask(kind, service, "replay", pixels, Record.from_json(forged))
        assert raised.value.status in (400, 413, 422)
