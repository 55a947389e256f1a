"""Pipelines over batches: alone or together, in any order, by any chunk, on any thread, the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from parity import assert_same

from augserve_pipelines import Frames, InvalidInput, Pipeline, ShapesDiffer
from augserve_pipelines import transforms as T
from factories import SIZES, make_image, make_noise
from oracle import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def imagenet_train(module: object = T) -> list[object]:
    return [
        module.RandomResizedCrop(64),
        module.RandomHorizontalFlip(),
        module.ToDtype(torch.float32, scale=True),
        module.Normalize(MEAN, STD),
    ]


def mixed(module: object = T) -> list[object]:
    return [
        module.RandomApply([module.RandomCrop(20, pad_if_needed=True), module.RandomVerticalFlip()], p=0.5),
        module.RandomChoice([module.Resize(24), module.CenterCrop(30), module.Identity()]),
        module.RandomOrder([module.RandomHorizontalFlip(), module.RandomResizedCrop((40, 20)), module.Resize(11)]),
    ]


def batch_of_64() -> list[torch.Tensor]:
    sizes = [SIZES[i % len(SIZES)] for i in range(64)]
    return [make_noise(size, seed=i) if i % 3 else make_image(size) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("steps", [imagenet_train, mixed])
def test_alone_in_a_batch_in_any_order_by_any_chunk(steps: object) -> None:
    pipeline, images = Pipeline(steps()), batch_of_64()
    seeds = [7 * i + 3 for i in range(64)]
    expected = []
    for image, seed in zip(images, seeds, strict=True):
        torch.manual_seed(seed)
        expected.append(v2.Compose(steps(v2))(image))
    alone = [pipeline([image], [seed])[0] for image, seed in zip(images, seeds, strict=True)]
    for i in range(64):
        assert_same(alone[i], expected[i], f"sample {i} alone")
    order = random.Random(0).sample(range(64), 64)
    for chunk in (None, 1, 3, 8, 64):
        batch = pipeline([images[i] for i in order], [seeds[i] for i in order], chunk=chunk)
        for place, i in enumerate(order):
            assert_same(batch[place], expected[i], f"sample {i} of chunks of {chunk}")


def test_samples_of_one_shape_lie_in_one_block() -> None:
    images = batch_of_64()
    batch = Pipeline(imagenet_train())(images, range(64))
    assert len(batch) == 64
    assert batch.stack().shape == (64, 3, 64, 64)
    assert batch[5].data_ptr() == batch.stack()[5].data_ptr()
    assert_same(batch[-1], batch[63], "the last")
    with pytest.raises(IndexError, match="sample 64 of a batch of 64"):
        batch[64]


def test_samples_of_several_shapes_do_not_stack() -> None:
    batch = Pipeline([T.Identity()])([make_image((2, 3)), make_image((3, 2)), make_image((2, 3))], [0, 1, 2])
    assert [tuple(image.shape) for image in batch] == [(3, 2, 3), (3, 3, 2), (3, 2, 3)]
    with pytest.raises(ShapesDiffer, match=r"3 samples have 2 shapes .*\[3, 2, 3\].*\[3, 3, 2\]"):
        batch.stack()


def test_fresh_seeds_are_kept_and_give_the_same_again() -> None:
    pipeline, images = Pipeline(imagenet_train()), [make_image() for _ in range(4)]
    batch = pipeline(images)
    assert len(set(batch.seeds)) == 4
    assert torch.equal(pipeline(images, batch.seeds).stack(), batch.stack())
    assert not torch.equal(pipeline(images).stack(), batch.stack())


def test_images_are_not_changed() -> None:
    image = make_image((40, 50), torch.float32)
    kept = image.clone()
    steps = [T.Normalize(MEAN, STD, inplace=True), T.RandomHorizontalFlip(1.0)]
    Pipeline(steps)([image, image], [0, 1])
    assert torch.equal(image, kept)


@pytest.mark.parametrize(
    ("images", "seeds", "message"),
    [
        ([torch.zeros(3, 4, 4)], [1, 2], "1 samples and 2 seeds"),
        (torch.zeros(3, 4, 4), [0], r"a tensor \[3, 4, 4\] is one image; a list of samples"),
        ([torch.zeros(4, 4)], [0], r"image 0 is a tensor of shape \[4, 4\]"),
        ([torch.zeros(3, 0, 4)], [0], "no empty side"),
        (["photo.jpg"], [0], "image 0 is str"),
        ([torch.zeros(3, 4, 4)], [-1], r"seed 0 is -1; 0 to 2\*\*64 - 1"),
        ([torch.zeros(3, 4, 4)], [2**64], "is allowed"),
    ],
)
def test_bad_inputs_are_refused(images: list[object], seeds: list[int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Pipeline([T.Identity()])(images, seeds)


def test_a_pipeline_shows_its_name_and_its_steps() -> None:
    assert (
        repr(Pipeline([T.RandomHorizontalFlip()], name="x"))
        == "Pipeline('x', transforms=[RandomHorizontalFlip(p=0.5)])"
    )


def test_an_empty_batch_is_empty() -> None:
    batch = Pipeline(imagenet_train())([], [])
    assert len(batch) == 0
    assert list(batch) == []


def test_the_callers_threads_setting_is_left_alone_and_many_callers_get_their_own() -> None:
    pipeline, images = Pipeline(imagenet_train()), batch_of_64()[:16]
    expected = pipeline(images, range(16)).stack()
    before = torch.get_num_threads()
    with ThreadPoolExecutor(8) as callers:
        results = list(callers.map(lambda start: pipeline(images[start:], range(start, 16)), [0, 4, 8, 12] * 4))
    for start, batch in zip([0, 4, 8, 12] * 4, results, strict=True):
        assert torch.equal(batch.stack(), expected[start:])
    assert torch.get_num_threads() == before


def test_torch_has_one_thread_in_the_pools_whatever_the_process_has_set() -> None:
    code = """
import torch
torch.set_num_threads(4)
from augserve_pipelines.executor import pool
threads, count = pool()
big = torch.ones(1 << 20)
inside = [threads.submit(lambda: (big.add(1).sum(), torch.get_num_threads())[1]).result() for _ in range(4 * count)]
assert set(inside) == {1}, inside
assert torch.get_num_threads() == 4
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_forked_process_runs_pipelines_too() -> None:
    pipeline, images = Pipeline(imagenet_train()), [make_image() for _ in range(3)]
    expected = pipeline(images, range(3)).stack()
    child = os.fork()
    if child == 0:
        same = torch.equal(pipeline(images, range(3)).stack(), expected)
        os._exit(0 if same else 1)
    timer = threading.Timer(60, os.kill, (child, 9))
    timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    assert status == 0


def test_the_signature_says_what_comes_out() -> None:
    signature = Pipeline(imagenet_train()).signature()
    assert (signature.dtype, signature.channels, signature.height, signature.width) == ("float32", 3, 64, 64)
    signature = Pipeline([T.Resize(64)]).signature()
    assert (signature.dtype, signature.channels, signature.height, signature.width) == ("uint8", 3, None, None)
    with pytest.raises(InvalidInput, match="Normalize takes floats"):
        Pipeline([T.Normalize(MEAN, STD)]).signature()


def test_results_are_known_before_a_pixel_is_read() -> None:
    images = batch_of_64()
    pipeline = Pipeline(mixed())
    expected = pipeline.plan(Frames.of(images), range(64)).outputs.keys()
    batch = pipeline(images, range(64))
    assert [tuple(image.shape) for image in batch] == [key[:3] for key in expected]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_results_of_floats_are_cast_on_the_way_out(dtype: torch.dtype) -> None:
    images = batch_of_64()
    for steps in (imagenet_train(), [T.RandomResizedCrop(8), T.RandomGrayscale(), *imagenet_train()[2:]]):
        pipeline = Pipeline(steps)
        given = pipeline.giving(dtype)
        assert given.fingerprint == pipeline.fingerprint
        assert given.signature().dtype == str(dtype).removeprefix("torch.")
        assert_same(given(images, range(64)).stack(), pipeline(images, range(64)).stack().to(dtype), str(dtype))
        assert pipeline(images, range(64)).stack().dtype == torch.float32
    bytes_ = Pipeline([T.Resize((9, 9))])
    assert_same(bytes_.giving(dtype)(images, range(64)).stack(), bytes_(images, range(64)).stack(), "bytes stay bytes")
    with pytest.raises(ValueError, match="cast to float16, bfloat16, float32 or float64"):
        pipeline.giving(torch.uint8)


def test_parity_reaches_resizes_wherever_they_are() -> None:
    image = make_image((97, 61))
    steps = [T.RandomApply([T.RandomOrder([T.Resize((40, 130))])], p=1.0)]
    pillow, torchvision = (Pipeline(steps, parity=parity)([image], [0])[0] for parity in ("pillow", "torchvision"))
    assert not torch.equal(pillow, torchvision)
    with pytest.raises(ValueError, match="allowed: 'torchvision', 'pillow'"):
        Pipeline(steps, parity="opencv")


def test_a_pipeline_within_a_bound_refuses_what_a_step_makes_larger() -> None:
    steps = [T.Resize(1000), T.CenterCrop(8)]
    images = [make_image((40, 50))]
    assert Pipeline(steps)(images, [0])[0].shape == (3, 8, 8)
    with pytest.raises(InvalidInput, match="sample 0 would grow to 1000 x 1250 pixels; at most 999999 are allowed"):
        Pipeline(steps).within(999_999)(images, [0])
    assert Pipeline(steps).within(1_250_000)(images, [0])[0].shape == (3, 8, 8)
