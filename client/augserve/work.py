"""What the client that blocks is asked to do, by type."""

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


class Work(ABC):
    """``augment`` and ``replay``, in front of whatever sends."""

    @overload
    def augment(
        self, pipeline: str, images: Image | Clip, *, as_: Numpy = "numpy", params: Off = False, **options: Unpack[One]
    ) -> Array: ...
    @overload
    def augment(
        self, pipeline: str, images: Sample, *, as_: Numpy = "numpy", params: bool = False, **options: Unpack[One]
    ) -> Arrays: ...
    @overload
    def augment(
        self, pipeline: str, images: Item, *, as_: Numpy = "numpy", params: On, **options: Unpack[One]
    ) -> Arrays: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Image | Clip | Sequence[Image | Clip],
        *,
        as_: Numpy = "numpy",
        params: Off = False,
        **options: Unpack[Many],
    ) -> Results[Array]: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Numpy = "numpy",
        params: bool = False,
        **options: Unpack[Many],
    ) -> Results[Arrays]: ...
    @overload
    def augment(
        self, pipeline: str, images: Items, *, as_: Numpy = "numpy", params: On, **options: Unpack[Many]
    ) -> Results[Arrays]: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Sequence[Item],
        *,
        as_: Numpy = "numpy",
        params: Off = False,
        **options: Unpack[Many],
    ) -> Results[Array | Arrays]: ...
    @overload
    def augment(
        self, pipeline: str, images: Image | Clip, *, as_: Torch, params: Off = False, **options: Unpack[OneTensor]
    ) -> Tensor: ...
    @overload
    def augment(
        self, pipeline: str, images: Sample, *, as_: Torch, params: bool = False, **options: Unpack[OneTensor]
    ) -> Tensors: ...
    @overload
    def augment(
        self, pipeline: str, images: Item, *, as_: Torch, params: On, **options: Unpack[OneTensor]
    ) -> Tensors: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Image | Clip | Sequence[Image | Clip],
        *,
        as_: Torch,
        params: Off = False,
        **options: Unpack[ManyTensor],
    ) -> Results[Tensor]: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Torch,
        params: bool = False,
        **options: Unpack[ManyTensor],
    ) -> Results[Tensors]: ...
    @overload
    def augment(
        self, pipeline: str, images: Items, *, as_: Torch, params: On, **options: Unpack[ManyTensor]
    ) -> Results[Tensors]: ...
    @overload
    def augment(
        self, pipeline: str, images: Sequence[Item], *, as_: Torch, params: Off = False, **options: Unpack[ManyTensor]
    ) -> Results[Tensor | Tensors]: ...
    @overload
    def augment(
        self, pipeline: str, images: Clip, *, as_: Bytes, params: Off = False, **options: Unpack[OneFile]
    ) -> list[bytes]: ...
    @overload
    def augment(
        self, pipeline: str, images: Image, *, as_: Bytes, params: Off = False, **options: Unpack[OneFile]
    ) -> bytes: ...
    @overload
    def augment(
        self, pipeline: str, images: Sample, *, as_: Bytes, params: bool = False, **options: Unpack[OneFile]
    ) -> Files: ...
    @overload
    def augment(self, pipeline: str, images: Item, *, as_: Bytes, params: On, **options: Unpack[OneFile]) -> Files: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Clip | Sequence[Clip],
        *,
        as_: Bytes,
        params: Off = False,
        **options: Unpack[ManyFile],
    ) -> Results[list[bytes]]: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Image | Sequence[Image],
        *,
        as_: Bytes,
        params: Off = False,
        **options: Unpack[ManyFile],
    ) -> Results[bytes]: ...
    @overload
    def augment(
        self,
        pipeline: str,
        images: Sample | Sequence[Sample],
        *,
        as_: Bytes,
        params: bool = False,
        **options: Unpack[ManyFile],
    ) -> Results[Files]: ...
    @overload
    def augment(
        self, pipeline: str, images: Items, *, as_: Bytes, params: On, **options: Unpack[ManyFile]
    ) -> Results[Files]: ...
    @overload
    def augment(
        self, pipeline: str, images: Sequence[Item], *, as_: Bytes, params: Off = False, **options: Unpack[ManyFile]
    ) -> Results[bytes | list[bytes] | Files]: ...
    def augment(
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
        timeout: float | None = None,
    ) -> Any:
        """Run a pipeline on one image or several, on clips, and on samples with their targets.

        Args:
            pipeline: Its name, as ``pipelines()`` lists it.
            images: One or a sequence of them: bytes, paths, Pillow images, arrays, tensors (see :data:`Image`),
                :class:`Clip`, :class:`Sample`.
            as_: What results are: numpy arrays or torch tensors [C, H, W], or the bytes of encoded files.
            views: Augmented results of each image, 1..64.
            seed: Seed of the first result, 0 <= seed < 2**63; result r is drawn with ``seed + r``. None: a fresh one.
            seeds: In its place, one for each image; view v is drawn with the image's seed + v.
            dtype: What floats are cast to on the way out: float16, bfloat16 or float32. numpy has no bfloat16: its
                values come as float32, exactly.
            media_type: For bytes: ``"image/png"``, ``"application/x-npy"``... None: the pipeline's default.
            quality: For bytes, of JPEG and WebP: 1..100.
            params: Whether results come with the record of what was done to them.
            wire: For arrays and tensors: ``"uint8"`` has floats sent as bytes, a quarter of float32, and makes the same
                floats of them here, bit for bit. For pipelines that end in ToDtype, to floats, and Normalize
                (``describe(name).wire`` says so).
            device: For tensors: where they are to be, such as ``"cuda"``; what travels as bytes is moved as bytes.
                None: in host memory.
            timeout: Seconds for each request, its retries included; None: the client's.

        Returns:
            The result of one image that was given without ``views``; ``Results`` otherwise. Those of samples, and with
            ``params`` all, are :class:`Augmented`; a clip as bytes is a list of files.

        Raises:
            AugserveError: One of its kinds (see :mod:`augserve.errors`); for one image without ``views`` also what is
                wrong with the image, else that is the result at its index.
            OSError: A path cannot be read.
        """
        form = {"dtype": dtype, "media_type": media_type, "quality": quality}
        options = {**form, "params": params, "wire": wire, "device": device}
        return self._call(Call.of(pipeline, as_, seed, seeds, views=views, **options), images, timeout)

    @overload
    def replay(self, samples: Item, records: Record, *, as_: Numpy = "numpy", **options: Unpack[Timed]) -> Arrays: ...
    @overload
    def replay(
        self,
        samples: Sequence[Item],
        records: Record | Sequence[Record],
        *,
        as_: Numpy = "numpy",
        **options: Unpack[Timed],
    ) -> Results[Arrays]: ...
    @overload
    def replay(self, samples: Item, records: Record, *, as_: Torch, **options: Unpack[Timed]) -> Tensors: ...
    @overload
    def replay(
        self, samples: Sequence[Item], records: Record | Sequence[Record], *, as_: Torch, **options: Unpack[Timed]
    ) -> Results[Tensors]: ...
    @overload
    def replay(self, samples: Item, records: Record, *, as_: Bytes, **options: Unpack[TimedFile]) -> Files: ...
    @overload
    def replay(
        self, samples: Sequence[Item], records: Record | Sequence[Record], *, as_: Bytes, **options: Unpack[TimedFile]
    ) -> Results[Files]: ...
    def replay(
        self,
        samples: Items,
        records: Record | Sequence[Record],
        *,
        as_: Form = "numpy",
        media_type: str | None = None,
        quality: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Do again what was done, to the same or to other images and targets: to a mask that was left out, say.

        Args:
            samples: One or a sequence of them; a :class:`Sample` may lack its image here.
            records: One for each, or one for all.
            as_: What results are, as for ``augment``.
            media_type: For bytes, as for ``augment``.
            quality: For bytes, of JPEG and WebP: 1..100.
            timeout: Seconds for each request, its retries included; None: the client's.

        Returns:
            :class:`Augmented` for one sample; ``Results`` of them for several.

        Raises:
            AugserveError: As for ``augment``. A record may ask for what a sample of another size does not allow.
            OSError: A path cannot be read.
        """
        call = Replay.of(records, samples, as_, media_type=media_type, quality=quality)
        return self._call(call, samples, timeout)

    @abstractmethod
    def _call(self, call: Call | Replay, items: Items, timeout_s: float | None) -> Any:
        """Send a call and give what it returns."""
