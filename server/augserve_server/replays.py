"""Records that are posted back: what was done to one sample is done to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from augserve.wire import IMAGE_PART, LABELS_PART
from augserve_pipelines import InputRule, InvalidInput
from augserve_pipelines.dispatch import Call
from augserve_pipelines.records import Record
from augserve_pipelines.transforms.sanitize import keep_objects
from augserve_pipelines.tv_tensors.interop import like
from augserve_server.errors import ClientGone, RecordInvalid, TargetInvalid
from augserve_server.inspection import EncodedSample, Inspector
from augserve_server.record_costs import Cost, check_costs, cost_of
from augserve_server.uploads import SampleUpload, Upload
from augserve_server.work import Augmented

Wanted: TypeAlias = Callable[[], bool]
Size: TypeAlias = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class EncodedReplay:
    """A sample that is not decoded yet, and the record of what shall be done to it."""

    sample: EncodedSample
    record: Record
    cost: Cost

    @property
    def pixels(self) -> int:
        """The most that are held at a time: decoded, or by one of the calls."""
        return max(self.sample.pixels, self.cost.most)

    @property
    def output_bytes(self) -> int:
        """Of the result, its pixels counted as floats: nothing says what they are."""
        cost = self.cost
        pictures = 3 * cost.output_pixels * cost.output_pictures * torch.float32.itemsize
        return pictures + cost.copies * self.sample.targets.bytes_at(cost.output_pixels)

    def run(self, rule: InputRule, wanted: Wanted) -> Augmented:
        """The result. Raises what is wrong with the sample, RecordInvalid, or ClientGone once nobody wants it."""
        leaves = self.sample.decode(rule, wanted)
        if IMAGE_PART in leaves:
            height, width = leaves[IMAGE_PART].shape[-2:]
            _check_size((height, width), self.record)
        for call in self.record.calls:
            if not wanted():
                raise ClientGone
            leaves = _with_kept_labels(call, leaves)
            leaves = _replayed(replace(self.record, calls=(call,)), leaves)
        return Augmented({name: _stacked(leaf) for name, leaf in leaves.items()})


class ReplayInspector:
    """Looks at the samples of one request, and at their records: one for each, or one for all of them.

    The samples' order is kept. Raises, for one sample, what is wrong with it or with its record.
    """

    def __init__(self, inspector: Inspector, uploads: Sequence[Upload]) -> None:
        self._inspector = inspector
        records = [one.record for one in uploads if isinstance(one, SampleUpload) and one.record is not None]
        self._for_all = records[0] if len(records) == 1 else None
        self._read: dict[bytes, Record] = {}

    def look(self, upload: Upload, wanted: Wanted) -> EncodedReplay:
        """What is known of a sample before it is decoded."""
        sample = self._inspector.look(upload, wanted)
        record = self._record((isinstance(upload, SampleUpload) and upload.record) or self._for_all)
        if sample.source is None:
            sample = _without_pixels(sample, record.input_size)
        elif sorted(sample.size) != sorted(record.input_size):  # stored; upright, it may be turned
            _check_size(sample.size, record)
        cost = cost_of(record, sample.frames, sample.targets.mask_count)
        cost.check()
        return EncodedReplay(sample, record, cost)

    def _record(self, text: bytes | None) -> Record:
        if text is None:
            raise RecordInvalid("is missing: send one with each sample, or one for all")
        if text not in self._read:  # one for all is read once; twice at the same time does no harm
            record = _read_record(text, self._inspector.image.max_pixels)
            check_costs(record, self._inspector.clip.frames)
            self._read[text] = record
        return self._read[text]


def _read_record(text: bytes, most_pixels: int) -> Record:
    try:
        return Record.from_json(json.loads(text), most_pixels=most_pixels)
    except InvalidInput as exc:
        raise RecordInvalid(f"is refused: {exc}") from exc
    except (ValueError, RecursionError) as exc:
        raise RecordInvalid("is no JSON") from exc


def _without_pixels(sample: EncodedSample, canvas: Size) -> EncodedSample:
    if sample.targets.labels is not None:
        raise TargetInvalid(LABELS_PART, "without an image there is nothing that a record could do to labels")
    if sample.targets.is_empty:
        raise RecordInvalid("has nothing to act on: send an image, boxes, masks or keypoints beside it")
    return replace(sample, canvas=canvas)


def _check_size(size: Size, record: Record) -> None:
    if size != record.input_size:
        height, width = record.input_size
        raise RecordInvalid(
            f"is of {height} x {width} pixels (height x width), and the upright image is {size[0]} x {size[1]}",
            value=list(size),
            allowed=[height, width],
        )


def _with_kept_labels(call: Call, leaves: dict[str, Any]) -> dict[str, Any]:
    """The same parts, without the labels of objects that the call drops: labels are no kind that it acts on itself."""
    labels, valid = leaves.get(LABELS_PART), call.arguments.get("valid")
    if call.functional is not keep_objects or labels is None or not labels.ndim or len(labels) != len(valid or ()):
        return leaves
    return {**leaves, LABELS_PART: labels[torch.tensor(valid, dtype=torch.bool)]}


def _stacked(leaf: Any) -> Tensor:
    """Five crops, and ten, are one tensor, as in the results of pipelines."""
    return like(leaf[0], torch.stack(leaf)) if isinstance(leaf, tuple) else leaf


def _replayed(record: Record, leaves: dict[str, Any]) -> dict[str, Any]:
    try:
        done: dict[str, Any] = record.replay(leaves)
    except InvalidInput as exc:
        raise RecordInvalid(f"is refused: {exc}") from exc
    return done
