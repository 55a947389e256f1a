"""What the client for asyncio is asked to do, by type."""

# mypy: disable-error-code="overload-overlap"
# One item is also one of several, and a path a sequence of strings: the first signature that fits is meant.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

from augserve.augmented import Arrays, Files, Tensors
from augserve.inputs import Image
from augserve.options import (
    Bytes,
    Many,
    ManyFile,
    ManyTensor,
    Numpy,
    Off,
    On,
    One,
    OneFile,
    OneTensor,
    Timed,
    TimedFile,
    Torch,
)
from augserve.record import Record
from augserve.requests import Call, DType, Form, Replay
from augserve.results import Array, Results
from augserve.samples import Clip, Item, Items, Sample
from augserve.wire import Wire

if TYPE_CHECKING:
    from augserve.torch import Device, Tensor


class AsyncWork(ABC):
    """``augment`` and ``replay``, in front of whatever sends."""

    @overload
    async def augment(
        self, pipeline: str, images: Image | Clip, *, as_: Numpy = "numpy", params: Off = False, **options: Unpack[One]
    ) -> Array: ...
    @overload
    async def augment(
        self, pipeline: str, images: Sample, *, as_: Numpy = "numpy", params: bool = False, **options: Unpack[One]
    ) -> Arrays: ...
    @overload
    async def augment(
        self, pipeline: str, images: Item, *, as_: Numpy = "numpy", params: On, **options: Unpack[One]
    ) -> Arrays: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Image | Clip | Sequence[Image | Clip],
        *,
        as_: Numpy = "numpy",
        params: Off = False,
        **options: Unpack[Many],
    ) -> Results[Array]: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Numpy = "numpy",
        params: bool = False,
        **options: Unpack[Many],
    ) -> Results[Arrays]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Items, *, as_: Numpy = "numpy", params: On, **options: Unpack[Many]
    ) -> Results[Arrays]: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Sequence[Item],
        *,
        as_: Numpy = "numpy",
        params: Off = False,
        **options: Unpack[Many],
    ) -> Results[Array | Arrays]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Image | Clip, *, as_: Torch, params: Off = False, **options: Unpack[OneTensor]
    ) -> Tensor: ...
    @overload
    async def augment(
        self, pipeline: str, images: Sample, *, as_: Torch, params: bool = False, **options: Unpack[OneTensor]
    ) -> Tensors: ...
    @overload
    async def augment(
        self, pipeline: str, images: Item, *, as_: Torch, params: On, **options: Unpack[OneTensor]
    ) -> Tensors: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Image | Clip | Sequence[Image | Clip],
        *,
        as_: Torch,
        params: Off = False,
        **options: Unpack[ManyTensor],
    ) -> Results[Tensor]: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Torch,
        params: bool = False,
        **options: Unpack[ManyTensor],
    ) -> Results[Tensors]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Items, *, as_: Torch, params: On, **options: Unpack[ManyTensor]
    ) -> Results[Tensors]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Sequence[Item], *, as_: Torch, params: Off = False, **options: Unpack[ManyTensor]
    ) -> Results[Tensor | Tensors]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Clip, *, as_: Bytes, params: Off = False, **options: Unpack[OneFile]
    ) -> list[bytes]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Image, *, as_: Bytes, params: Off = False, **options: Unpack[OneFile]
    ) -> bytes: ...
    @overload
    async def augment(
        self, pipeline: str, images: Sample, *, as_: Bytes, params: bool = False, **options: Unpack[OneFile]
    ) -> Files: ...
    @overload
    async def augment(
        self, pipeline: str, images: Item, *, as_: Bytes, params: On, **options: Unpack[OneFile]
    ) -> Files: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Clip | Sequence[Clip],
        *,
        as_: Bytes,
        params: Off = False,
        **options: Unpack[ManyFile],
    ) -> Results[list[bytes]]: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Image | Sequence[Image],
        *,
        as_: Bytes,
        params: Off = False,
        **options: Unpack[ManyFile],
    ) -> Results[bytes]: ...
    @overload
    async def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Bytes,
        params: bool = False,
        **options: Unpack[ManyFile],
    ) -> Results[Files]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Items, *, as_: Bytes, params: On, **options: Unpack[ManyFile]
    ) -> Results[Files]: ...
    @overload
    async def augment(
        self, pipeline: str, images: Sequence[Item], *, as_: Bytes, params: Off = False, **options: Unpack[ManyFile]
    ) -> Results[bytes | list[bytes] | Files]: ...
    async def augment(
        self,
        pipeline: str,
        images: Items,
        *,
        as_: Form = "numpy",
        views: int | None = None,
        seed: int | None = None,
        seeds: Sequence[int] | None = None,
        dtype: DType | None = None,
        media_type: str | None = None,
        quality: int | None = None,
        params: bool = False,
        wire: Wire | None = None,
        device: Device | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # it covers retries, and the server is told of it
    ) -> Any:
        """Run a pipeline on one image or several: see :meth:`Client.augment`."""
        form = {"dtype": dtype, "media_type": media_type, "quality": quality}
        options = {**form, "params": params, "wire": wire, "device": device}
        return await self._call(Call.of(pipeline, as_, seed, seeds, views=views, **options), images, timeout)

    @overload
    async def replay(
        self, samples: Item, records: Record, *, as_: Numpy = "numpy", **options: Unpack[Timed]
    ) -> Arrays: ...
    @overload
    async def replay(
        self,
        samples: Sequence[Item],
        records: Record | Sequence[Record],
        *,
        as_: Numpy = "numpy",
        **options: Unpack[Timed],
    ) -> Results[Arrays]: ...
    @overload
    async def replay(self, samples: Item, records: Record, *, as_: Torch, **options: Unpack[Timed]) -> Tensors: ...
    @overload
    async def replay(
        self, samples: Sequence[Item], records: Record | Sequence[Record], *, as_: Torch, **options: Unpack[Timed]
    ) -> Results[Tensors]: ...
    @overload
    async def replay(self, samples: Item, records: Record, *, as_: Bytes, **options: Unpack[TimedFile]) -> Files: ...
    @overload
    async def replay(
        self, samples: Sequence[Item], records: Record | Sequence[Record], *, as_: Bytes, **options: Unpack[TimedFile]
    ) -> Results[Files]: ...
    async def replay(
        self,
        samples: Items,
        records: Record | Sequence[Record],
        *,
        as_: Form = "numpy",
        media_type: str | None = None,
        quality: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # it covers retries, and the server is told of it
    ) -> Any:
        """Do again what was done: see :meth:`Client.replay`."""
        call = Replay.of(records, samples, as_, media_type=media_type, quality=quality)
        return await self._call(call, samples, timeout)

    @abstractmethod
    async def _call(self, call: Call | Replay, items: Items, timeout_s: float | None) -> Any:
        """Send a call and give what it returns."""
