"""What a strict type checker makes of the clients: checked by test_typing.py, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image as Picture
from torch import Tensor
from torch.utils.data import DataLoader

from augserve import AsyncClient, Augmented, Client, Clip, PipelineInfo, Record, Results, Sample, ServiceError
from augserve.torch import AugmentedLoader, Augmenter, Batch, Shard, Ticket, TicketLoader
from augserve_server.in_process import InProcess

Array = NDArray[Any]
Arrays = Augmented[Array, Array]
Tensors = Augmented[Tensor, Tensor]
Files = Augmented[bytes, Array]


def one(client: Client, path: Path, pixels: NDArray[np.uint8], picture: Picture, tensor: Tensor) -> None:
    assert_type(client.augment("p", path), Array)
    assert_type(client.augment("p", "a.jpg", seed=1, dtype="float16"), Array)
    assert_type(client.augment("p", pixels, as_="numpy"), Array)
    assert_type(client.augment("p", picture, as_="torch"), Tensor)
    assert_type(client.augment("p", tensor, as_="bytes", media_type="image/png", quality=90), bytes)


def in_bytes(client: Client, path: Path, sample: Sample, device: torch.device) -> None:
    assert_type(client.augment("p", path, wire="uint8"), Array)
    assert_type(client.augment("p", [path], wire="uint8", dtype="bfloat16"), Results[Array])
    assert_type(client.augment("p", path, as_="torch", wire="uint8", device="cuda"), Tensor)
    assert_type(client.augment("p", [sample], as_="torch", device=device), Results[Tensors])


def several(client: Client, path: Path, paths: list[Path], tensors: tuple[Tensor, ...]) -> None:
    assert_type(client.augment("p", paths), Results[Array])
    assert_type(client.augment("p", ["a.jpg", "b.jpg"]), Results[Array])
    assert_type(client.augment("p", tensors, as_="torch", timeout=1.5), Results[Tensor])
    assert_type(client.augment("p", [path, b"1"], as_="bytes", quality=90), Results[bytes])
    assert_type(client.augment("p", path, views=2), Results[Array])
    assert_type(client.augment("p", [path], seeds=[1], as_="torch"), Results[Tensor])
    assert_type(client.augment("p", [path], seeds=np.array([1]).tolist(), as_="bytes"), Results[bytes])
    assert_type(client.augment("p", path, as_="torch", views=1), Results[Tensor])


def with_targets(client: Client, path: Path, sample: Sample, on: bool) -> None:
    assert_type(client.augment("p", sample), Arrays)
    assert_type(client.augment("p", sample, as_="torch", params=on), Tensors)
    assert_type(client.augment("p", sample, as_="bytes", quality=90, params=True), Files)
    assert_type(client.augment("p", [sample, sample], seed=1), Results[Arrays])
    assert_type(client.augment("p", sample, views=2, as_="torch"), Results[Tensors])
    assert_type(client.augment("p", (sample,), as_="bytes"), Results[Files])
    assert_type(client.augment("p", path, params=True), Arrays)
    assert_type(client.augment("p", path, params=True, as_="torch"), Tensors)
    assert_type(client.augment("p", [path, "a.jpg"], params=True, as_="bytes"), Results[Files])
    assert_type(client.augment("p", path, params=True, views=3), Results[Arrays])


def clips(client: Client, clip: Clip, sample: Sample, path: Path) -> None:
    assert_type(client.augment("p", clip), Array)
    assert_type(client.augment("p", clip, as_="torch"), Tensor)
    assert_type(client.augment("p", clip, as_="bytes"), list[bytes])
    assert_type(client.augment("p", [clip, path]), Results[Array])
    assert_type(client.augment("p", [clip, clip], as_="bytes"), Results[list[bytes]])
    assert_type(client.augment("p", [clip, sample, path]), Results[Array | Arrays])
    assert_type(client.augment("p", [clip, sample, path], as_="torch"), Results[Tensor | Tensors])
    assert_type(client.augment("p", [clip, sample, path], as_="bytes"), Results[bytes | list[bytes] | Files])
    assert_type(client.augment("p", [clip, sample, path], params=True), Results[Arrays])


def replayed(client: Client, sample: Sample, path: Path, record: Record) -> None:
    assert_type(client.replay(sample, record), Arrays)
    assert_type(client.replay(path, record, as_="torch"), Tensors)
    assert_type(client.replay(sample, record, as_="bytes", media_type="image/png"), Files)
    assert_type(client.replay([sample, path], record), Results[Arrays])
    assert_type(client.replay([sample], [record], as_="torch", timeout=1), Results[Tensors])
    assert_type(client.replay((sample,), [record], as_="bytes"), Results[Files])


def parts(arrays: Arrays, tensors: Tensors, files: Files) -> None:
    assert_type(arrays.boxes, Array | None)
    assert_type(tensors.masks, Tensor | None)
    assert_type(files.masks, bytes | None)
    assert_type(files.labels, Array | None)
    assert_type(arrays.record, Record | None)
    files.image.startswith(b"RIFF")


def results(arrays: Results[Array], tensors: Results[Tensor], files: Results[bytes]) -> None:
    assert_type(arrays.stack(), Array)
    assert_type(tensors.stack(), Tensor)
    files.stack()  # type: ignore[misc]  # files do not stack
    assert_type(tensors[0], Tensor | ServiceError)
    assert_type(files.raise_for_errors(), list[bytes])
    assert_type(arrays.by_image(), list[list[Array | ServiceError]])


async def awaited(client: AsyncClient, path: Path) -> None:
    assert_type(await client.augment("p", path), Array)
    assert_type(await client.augment("p", [path], as_="torch"), Results[Tensor])
    assert_type(await client.augment("p", path, as_="bytes"), bytes)
    assert_type(await client.augment("p", Sample(path)), Arrays)
    assert_type(await client.augment("p", Clip("a.mp4"), as_="bytes"), list[bytes])
    assert_type(await client.augment("p", [Sample(path)], params=True, as_="torch"), Results[Tensors])
    assert_type(await client.replay(path, Record.from_json("")), Arrays)
    assert_type(await client.replay([path], [Record.from_json("")], as_="bytes"), Results[Files])
    assert_type(await client.pipelines(), list[PipelineInfo])


def loaders(client: Client, paths: list[tuple[Path, int]], tickets: DataLoader[list[Ticket]]) -> None:
    augmenter = Augmenter(client, "p", dtype="float16", wire="uint8", fallback=InProcess("p.yaml"), on_error="skip")
    for images, labels in AugmentedLoader(paths, augmenter, shuffle=True, shard=Shard(0, 2)):
        assert_type(images, Any)
        labels.sum()
    assert_type(next(iter(TicketLoader(tickets, augmenter))), Batch)
    AugmentedLoader([("a.jpg", "cat")], augmenter)
    AugmentedLoader(["a.jpg"], augmenter)  # type: ignore[list-item]  # it has no label
    Augmenter(client, "p", fallback=client)  # type: ignore[arg-type]  # nothing that augments here


def wrong(client: Client, path: Path) -> None:
    client.augment("p", path, as_="jax")  # type: ignore[call-overload]  # there is no such form
    client.augment("p", path, sed=1)  # type: ignore[call-overload]  # a misspelt option
    client.augment("p", path, quality=90)  # type: ignore[call-overload]  # for files only
    client.augment("p", path, wire="int8")  # type: ignore[call-overload]  # it travels as uint8
    client.augment("p", path, as_="bytes", wire="uint8")  # type: ignore[call-overload]  # for arrays and tensors only
    client.augment("p", path, device="cuda")  # type: ignore[call-overload]  # for tensors only
    client.augment("p", path, dtype="int8")  # type: ignore[call-overload]  # not a float
    client.augment("p", 3)  # type: ignore[call-overload]  # no image
    client.augment("p", Clip(path), as_="bytes", params="yes")  # type: ignore[call-overload]  # not a bool
    client.replay(path, "record")  # type: ignore[call-overload]  # not a record
    client.replay(path, Record.from_json(""), seed=1)  # type: ignore[call-overload]  # nothing is drawn
    Sample(path, boxes=[[1, 2, 3, 4]], box_format="XXYY")  # type: ignore[arg-type]  # there is no such format
