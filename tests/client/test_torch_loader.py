"""Loaders for training: order, seeds, batches, resumption, failures, and the fallback while the service is away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from augserve import Client, ConnectionFailed, InvalidInput, PipelineChanged, Retries, Sample, SampleFailed
from augserve.torch import AugmentedLoader, Augmenter, Shard, Ticket, TicketLoader, Tickets, hand_over, sample_seeds
from augserve_pipelines import Pipeline
from augserve_server.codecs import decode, peek
from augserve_server.in_process import InProcess
from factories import make_file, make_files
from serving import run_server

COUNT = 22
WORKERS: dict[str, Any] = {"num_workers": 1, "multiprocessing_context": "spawn"}  # a fork would copy held locks


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, int]]:
    """Paths of photographs of mixed sizes, and a label for each."""
    folder = tmp_path_factory.mktemp("photographs")
    for i, file in enumerate(make_files(COUNT)):
        (folder / f"{i}.jpg").write_bytes(file)
    return [(folder / f"{i}.jpg", i) for i in range(COUNT)]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def expected(pipelines: Path, pairs: Sequence[tuple[Path, int]], seed: int, epoch: int) -> list[Tensor]:
    """What each sample of the data set becomes in an epoch, by the engine itself."""
    pipeline = Pipeline.load(pipelines / "train.yaml")
    files = [path.read_bytes() for path, _ in pairs]
    images = [torch.from_numpy(decode(file, peek(file), pipeline.input)).permute(2, 0, 1) for file in files]
    return [*pipeline(images, sample_seeds(seed, epoch, range(len(files))))]


def samples_of(batches: Any) -> list[tuple[int, bytes]]:
    """The label and the bytes of every sample that was delivered."""
    return [
        (int(label), image.numpy().tobytes())
        for images, labels in batches
        for image, label in zip(images, labels, strict=True)
    ]


NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def with_fallback(pipelines: Path) -> Iterator[Callable[..., Augmenter]]:
    """Makes augmenters that ask a service at an address, once, and then this process."""
    with ExitStack() as clients:

        def make(address: str, fallback: str = "train", **options: Any) -> Augmenter:
            client = clients.enter_context(Client(address, retries=Retries(attempts=1)))
            in_process = InProcess(pipelines / f"{fallback}.yaml")
            return Augmenter(client, "train", fallback=in_process, ask_again_s=0, **options)

        yield make


def test_every_sample_is_what_the_engine_makes_of_it_under_its_own_seed(
    client: Client, pipelines: Path, pairs: list[tuple[Path, int]]
) -> None:
    loader = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8, shuffle=True, seed=3)
    for epoch in range(2):
        whole = expected(pipelines, pairs, 3, epoch)
        batches = list(loader)
        assert [tuple(images.shape) for images, _ in batches] == [(8, 3, 64, 64), (8, 3, 64, 64), (6, 3, 64, 64)]
        assert all(labels.dtype == torch.int64 for _, labels in batches)
        found = samples_of(batches)
        assert sorted(label for label, _ in found) == list(range(COUNT))
        assert all(whole[label].numpy().tobytes() == pixels for label, pixels in found)


def test_epochs_have_orders_of_their_own_and_the_same_again(client: Client, pairs: list[tuple[Path, int]]) -> None:
    def orders(**options: Any) -> list[list[int]]:
        loader = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8, **options)
        return [[label for label, _ in samples_of(loader)] for _ in range(2)]

    first = orders(shuffle=True, seed=3)
    assert first == orders(shuffle=True, seed=3)
    assert first[0] != first[1]
    assert first != orders(shuffle=True, seed=4)
    assert orders() == [list(range(COUNT))] * 2


def test_pixels_depend_on_neither_the_wire_nor_the_batch(client: Client, pairs: list[tuple[Path, int]]) -> None:
    one = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8, shuffle=True, seed=3)
    other = AugmentedLoader(pairs, Augmenter(client, "train", wire="uint8"), batch_size=5, prefetch=1, seed=3)
    assert sorted(samples_of(one)) == sorted(samples_of(other))


@pytest.mark.parametrize("batch_size", [4, 7])
def test_an_epoch_that_was_left_is_resumed_to_the_same_bytes(
    client: Client, pairs: list[tuple[Path, int]], batch_size: int
) -> None:
    def loader(batch_size: int = 4) -> AugmentedLoader:
        return AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=batch_size, shuffle=True, seed=3)

    whole = loader()
    uninterrupted = [sample for _ in range(2) for sample in samples_of(whole)]

    left = loader()
    batches = iter(left)
    before = samples_of([next(batches) for _ in range(3)])
    state = json.loads(json.dumps(left.state_dict()))
    next(batches)  # delivered after the checkpoint: it is asked for again

    resumed = loader(batch_size)
    resumed.load_state_dict(state)
    after = [sample for _ in range(2) for sample in samples_of(resumed)]
    assert before + after == uninterrupted
    assert resumed.epoch == 2


def test_an_epoch_that_was_left_without_a_checkpoint_is_not_gone_back_to(
    client: Client, pairs: list[tuple[Path, int]]
) -> None:
    loader = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8)
    next(iter(loader))
    assert (loader.epoch, len(list(loader)), loader.epoch) == (0, 3, 2)
    loader.set_epoch(0)
    assert loader.state_dict()["position"] == 0


def test_a_checkpoint_of_another_order_or_pipeline_is_refused(client: Client, pairs: list[tuple[Path, int]]) -> None:
    loader = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8, seed=3)
    next(iter(loader))
    state = loader.state_dict()
    with pytest.raises(InvalidInput, match=r"the state is of a loader with \{'seed': 3\}; this one has \{'seed': 4\}"):
        AugmentedLoader(pairs, Augmenter(client, "train"), seed=4).load_state_dict(state)
    other = AugmentedLoader(pairs, Augmenter(client, "as_it_is"), seed=3)
    other.load_state_dict(state)
    with pytest.raises(PipelineChanged, match="batches would be of two pipelines"):
        next(iter(other))


def test_shards_have_equal_shares_and_change_no_pixel(client: Client, pairs: list[tuple[Path, int]]) -> None:
    def share(rank: int, **options: Any) -> list[tuple[int, bytes]]:
        return samples_of(
            AugmentedLoader(
                pairs, Augmenter(client, "train"), batch_size=3, shuffle=True, seed=3, shard=Shard(rank, 4), **options
            )
        )

    whole = dict(samples_of(AugmentedLoader(pairs, Augmenter(client, "train"), seed=3)))
    shares = [share(rank) for rank in range(4)]
    assert [len(each) for each in shares] == [6] * 4
    assert {label for each in shares for label, _ in each} == set(range(COUNT))
    assert all(whole[label] == pixels for each in shares for label, pixels in each)
    assert [len(share(rank, drop_last=True)) for rank in range(4)] == [3] * 4


def test_a_dataloader_of_tickets_decides_the_order_and_no_pixel_goes_through_its_workers(
    client: Client, pairs: list[tuple[Path, int]]
) -> None:
    def tickets(**options: Any) -> DataLoader[list[Ticket]]:
        backwards = [*range(COUNT)][::-1]
        return DataLoader(Tickets(pairs), batch_size=8, sampler=backwards, collate_fn=hand_over, **options)

    assert all(isinstance(ticket, Ticket) for batch in tickets() for ticket in batch)
    ours = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=8, seed=3)
    loader = TicketLoader(tickets(**WORKERS), Augmenter(client, "train"), seed=3)
    assert samples_of(loader) == samples_of(ours)[::-1]
    loader = TicketLoader(tickets(), Augmenter(client, "train"), seed=3)
    loader.set_epoch(1)
    assert samples_of(loader) == samples_of(ours)[::-1]


def test_while_the_service_is_away_this_process_makes_the_same_bytes(
    with_fallback: Any, pipelines: Path, pairs: list[tuple[Path, int]], caplog: pytest.LogCaptureFixture
) -> None:
    with run_server(pipelines=pipelines) as live:
        with Client(live.url) as client:
            loader = AugmentedLoader(pairs, Augmenter(client, "train"), batch_size=4, shuffle=True, seed=3)
            always = samples_of(loader)
        port = live.address[1]
        augmenter = with_fallback(live.url)
        batches = iter(AugmentedLoader(pairs, augmenter, batch_size=4, shuffle=True, seed=3, prefetch=1))
        found = samples_of([next(batches)])
        assert not caplog.records
    found += samples_of([next(batches) for _ in range(3)])
    assert "the service is away, and batches are augmented in this process" in caplog.text
    with run_server(pipelines=pipelines, port=port) as live:
        found += samples_of(batches)
        assert "the service is back" in caplog.text
        assert live.metric("requests_total", pipeline="train", status="200") > 0
    assert found == always


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_fallback_gives_the_same_of_other_kinds_of_files_and_results(
    client: Client, with_fallback: Any, dtype: str
) -> None:
    files = [make_file("PNG", (70, 90), "RGBA"), make_file("JPEG", (60, 80), orientation=6), make_file("GIF", (50, 40))]
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    pairs = [(item, {"place": i}) for i, item in enumerate([*files, pixels, torch.from_numpy(pixels).permute(2, 0, 1)])]
    there = AugmentedLoader(pairs, Augmenter(client, "train", dtype=dtype))
    away = AugmentedLoader(pairs, with_fallback(NOWHERE, dtype=dtype))
    (one, label), (other, _) = next(iter(there)), next(iter(away))
    assert one.dtype == getattr(torch, dtype)
    assert torch.equal(one, other)
    assert label["place"].tolist() == [0, 1, 2, 3, 4]


def test_a_fallback_of_another_pipeline_is_noticed(
    address: str, with_fallback: Any, pairs: list[tuple[Path, int]]
) -> None:
    augmenter = with_fallback(address, "as_it_is")
    with pytest.raises(PipelineChanged, match="batches would be of two pipelines"):
        next(iter(AugmentedLoader(pairs, augmenter)))


def test_samples_with_targets_have_no_fallback(with_fallback: Any) -> None:
    pairs = [(Sample(make_files(1)[0], boxes=[[1, 2, 30, 20]]), 0)]
    with pytest.raises(ConnectionFailed):
        next(iter(AugmentedLoader(pairs, with_fallback(NOWHERE))))


def test_after_an_error_a_loader_goes_on_where_it_was(
    client: Client, pairs: list[tuple[Path, int]], tmp_path: Path
) -> None:
    coming = [*pairs[:4], (tmp_path / "late.jpg", 4), *pairs[5:8]]
    loader = AugmentedLoader(coming, Augmenter(client, "train"), batch_size=2)
    batches = iter(loader)
    assert [label for label, _ in samples_of([next(batches), next(batches)])] == [0, 1, 2, 3]
    with pytest.raises(SampleFailed, match=r"late\.jpg"):
        next(batches)
    (tmp_path / "late.jpg").write_bytes(pairs[4][0].read_bytes())
    loader.load_state_dict(loader.state_dict())
    assert [label for label, _ in samples_of(loader)] == [4, 5, 6, 7]


def test_a_pipeline_that_mixes_a_batch_is_no_fallback() -> None:
    mixing = Pipeline.loads(
        "transforms: [{Resize: {size: [32, 32]}}, {ToDtype: {dtype: float32, scale: true}}, {MixUp: {num_classes: 3}}]"
    )
    with pytest.raises(ValueError, match="mixes the images of a batch"):
        InProcess(mixing)


def test_without_a_fallback_the_error_is_raised_where_the_batch_would_be(pairs: list[tuple[Path, int]]) -> None:
    with Client(NOWHERE, retries=Retries(attempts=1)) as client, pytest.raises(ConnectionFailed):
        next(iter(AugmentedLoader(pairs, Augmenter(client, "train"))))


@pytest.mark.parametrize("away", [False, True])
def test_a_sample_that_fails_is_named_or_left_out(
    address: str, with_fallback: Any, pairs: list[tuple[Path, int]], tmp_path: Path, away: bool, caplog: Any
) -> None:
    corrupt, absent = tmp_path / "corrupt.jpg", tmp_path / "absent.jpg"
    corrupt.write_bytes(b"no image")
    few = [*pairs[:2], (corrupt, 2), (absent, 3), *pairs[4:6], (corrupt, 6), (corrupt, 7), pairs[8]]
    at = NOWHERE if away else address
    loader = AugmentedLoader(few, with_fallback(at), batch_size=3)
    batches = iter(loader)
    with pytest.raises(SampleFailed, match=r"sample 2, .*corrupt.jpg: .*no(t)? .*allowed") as failed:
        next(batches)
    assert (failed.value.index, failed.value.path) == (2, str(corrupt))

    skipping = AugmentedLoader(few, with_fallback(at, on_error="skip"), batch_size=3)
    assert [labels.tolist() for _, labels in skipping] == [[0, 1], [4, 5], [8]]
    assert f"left out: sample 3, {absent}: [Errno 2]" in caplog.text
    whole = AugmentedLoader(pairs, with_fallback(at), batch_size=COUNT)
    kept = dict(samples_of(whole))
    assert all(kept[label] == pixels for label, pixels in samples_of(skipping) if skipping.epoch == 0)


def test_samples_with_targets_come_as_they_are_and_results_of_many_shapes_as_a_list(client: Client) -> None:
    files = make_files(3)
    pairs = [(Sample(file, boxes=[[1, 2, 30, 20]]), None) for file in files]
    images, labels = next(iter(AugmentedLoader(pairs, Augmenter(client, "as_it_is"))))
    assert labels == [None] * 3
    assert all(one.boxes.tolist() == [[1, 2, 30, 20]] for one in images)
    images, names = next(iter(AugmentedLoader([(file, "a") for file in files], Augmenter(client, "as_it_is"))))
    assert names == ["a"] * 3
    assert [one.shape for one in images] == [(3, *peek_size(file)) for file in files]


def peek_size(file: bytes) -> tuple[int, int]:
    header = peek(file)
    return header.height, header.width


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"prefetch": 0}, "prefetch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
    ],
)
def test_what_no_loader_can_be_is_refused(client: Client, options: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        AugmentedLoader([], Augmenter(client, "train"), **options)


@pytest.mark.parametrize(("rank", "world_size"), [(0, 0), (2, 2), (-1, 2)])
def test_ranks_are_within_the_world(rank: int, world_size: int) -> None:
    with pytest.raises(InvalidInput, match="ranks are 0"):
        Shard(rank, world_size)


def test_seeds_are_the_documented_function_and_stay_so() -> None:
    assert sample_seeds(0, 0, [0, 1]) == [1195769770526638388, 1524337140709899146]
    assert sample_seeds(7, 3, [5]) == [8987235736580905607]
    assert len(set(sample_seeds(7, 3, range(10_000)))) == 10_000
    assert all(0 <= seed < 2**63 for seed in sample_seeds(2**63 - 1, 2**40, range(100)))
