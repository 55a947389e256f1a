"""What a strict type checker makes of the clients: checked by test_typing.py, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture
from torch import Tensor

from augserve import AsyncClient, Client, PipelineInfo, Results, ServiceError

Array = NDArray[Any]


def one(client: Client, path: Path, pixels: NDArray[np.uint8], picture: Picture, tensor: Tensor) -> None:
    assert_type(client.augment("p", path), Array)
    assert_type(client.augment("p", "a.jpg", seed=1, dtype="float16"), Array)
    assert_type(client.augment("p", pixels, as_="numpy"), Array)
    assert_type(client.augment("p", picture, as_="torch"), Tensor)
    assert_type(client.augment("p", tensor, as_="bytes", media_type="image/png", quality=90), bytes)


def several(client: Client, path: Path, paths: list[Path], tensors: tuple[Tensor, ...]) -> None:
    assert_type(client.augment("p", paths), Results[Array])
    assert_type(client.augment("p", ["a.jpg", "b.jpg"]), Results[Array])
    assert_type(client.augment("p", tensors, as_="torch", timeout=1.5), Results[Tensor])
    assert_type(client.augment("p", [path, b"1"], as_="bytes", quality=90), Results[bytes])
    assert_type(client.augment("p", path, views=2), Results[Array])
    assert_type(client.augment("p", path, as_="torch", views=1), Results[Tensor])


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
    assert_type(await client.pipelines(), list[PipelineInfo])


def wrong(client: Client, path: Path) -> None:
    client.augment("p", path, as_="jax")  # type: ignore[call-overload]  # there is no such form
    client.augment("p", path, sed=1)  # type: ignore[call-overload]  # a misspelt option
    client.augment("p", path, quality=90)  # type: ignore[call-overload]  # for files only
    client.augment("p", path, dtype="int8")  # type: ignore[call-overload]  # not a float
    client.augment("p", 3)  # type: ignore[call-overload]  # no image
