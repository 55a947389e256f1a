"""The way in and out of a CUDA device: run with ``pytest -m gpu`` where there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from augserve_pipelines import DecodeRule, InputRule, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.deferred import Deferred, Loaded
from augserve_pipelines.slabs import PinnedMemory, SlabPool
from augserve_pipelines.transfer import IN_FLIGHT, Transfer, TransferLimits
from augserve_server.codecs import Way, decode, peek
from augserve_server.decoding import Encoded, Later
from augserve_server.metrics import Metrics
from augserve_server.nvimage import DeviceDecoder, has_nvimagecodec
from augserve_server.place import Place
from factories import make_file, make_files, make_images

pytestmark = pytest.mark.gpu

MIB = 1 << 20
PIPELINE = [T.RandomResizedCrop(64), T.RandomHorizontalFlip()]


def cuda() -> torch.device:
    return torch.device("cuda", 0)


def test_pinned_memory_is_pinned_and_given_back() -> None:
    pool = SlabPool(8 * MIB, PinnedMemory())
    lent = pool.lend(MIB)
    assert lent.is_pinned()
    del lent
    pool.trim()
    assert pool.held == 0


def test_batches_in_flight_together_have_the_bytes_of_the_cpu() -> None:
    transfer, pipeline = Transfer(cuda(), TransferLimits(pinned=16 * MIB, device=32 * MIB)), Pipeline(PIPELINE)
    batches = [(make_images(count), range(count, 2 * count)) for count in (1, 7, 24, 3, 40, 16) * 4]
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        results = list(threads.map(lambda batch: transfer.run(pipeline, *batch), batches))
    for found, (images, seeds) in zip(results, batches, strict=True):
        assert all(torch.equal(*pair) for pair in zip(found, pipeline(images, seeds), strict=True))
    assert transfer.slabs.held <= 16 * MIB
    del results, found
    transfer.close()
    assert transfer.slabs.held == 0


def test_images_decoded_on_the_device_stay_there() -> None:
    if not has_nvimagecodec():
        pytest.skip("nvImageCodec is not installed: pip install 'augserve[cuda]'")
    files = [*make_files(12), make_file("JPEG", (50, 60), orientation=6)]
    encoded = [Encoded(data, peek(data)) for data in files]
    decoding = DeviceDecoder(cuda()).decode(encoded, InputRule())
    assert decoding.done is not None
    assert 0 < decoding.seconds < 10
    images = [image for image in decoding.images if image is not None]
    assert len(images) == len(files)
    assert all(image.is_cuda for image in images)
    for image, one in zip(images, encoded, strict=True):
        expected = torch.from_numpy(decode(one.data, one.header, InputRule(), Way("fast"))).permute(2, 0, 1)
        assert image.shape == expected.shape
        error = float((image.cpu().double() - expected.double()).square().mean())
        assert error < 4, error  # 42 dB: another rounding of transform and colours, and nothing else
    pipeline = Pipeline(PIPELINE)
    results = Transfer(cuda()).run(pipeline, images, range(len(images)))
    expected_results = pipeline([image.cpu() for image in images], range(len(images)))
    assert all(torch.equal(*pair) for pair in zip(results, expected_results, strict=True))


@pytest.mark.parametrize("jpeg", ["exact", "fast"])
def test_files_that_are_decoded_at_once_have_the_bytes_of_one_batch_after_another(jpeg: str) -> None:
    rule = DecodeRule(jpeg=jpeg)  # type: ignore[arg-type]  # one of its two
    transfer, pipeline = Transfer(cuda(), TransferLimits(pinned=16 * MIB)), Pipeline(PIPELINE, decode=rule)
    place, metrics, input = Place(cuda(), transfer), Metrics(), InputRule()

    def run(count: int) -> list[torch.Tensor | Exception]:
        files = [*make_files(count), make_file("PNG", (30, 40)), make_file("JPEG", (50, 60), orientation=6)]
        later = [source(Encoded(data, peek(data))) for data in files]
        return place.decode_and_run(pipeline, later, range(len(later)), lambda: None)

    def source(image: Encoded) -> Deferred:
        shape = image.shape(input)
        if shape is None:  # only decoding tells
            return Loaded(image.decode(input, lambda: True))
        return Later(image, input, shape, metrics, lambda: True, Way(rule.jpeg))

    counts = [3, 24, 7, 40, 1, 16] * 4
    expected = {count: run(count) for count in set(counts)}
    with ThreadPoolExecutor(IN_FLIGHT + 1) as threads:
        for count, found in zip(counts, threads.map(run, counts), strict=True):
            assert all(torch.equal(*pair) for pair in zip(found, expected[count], strict=True))  # type: ignore[arg-type]  # none fails
    place.close()
