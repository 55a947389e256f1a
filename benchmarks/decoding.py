"""JPEG decoding as a pipeline may allow it, against exact and full decoding, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from augserve_pipelines import InputRule
from augserve_server.codecs import Header, Way, decode, peek
from benchmarks.measure import in_turns, rate
from benchmarks.photographs import jpegs
from benchmarks.results import Section

COUNT = 32
ABOUT = (
    "JPEG files to pixels on one thread. What a pipeline's `decode` key allows, against the exact pixels at full size: "
    "`fast` repeats chroma, fractions decode fewer coefficients. Both change pixels."
)
WAYS = (Way(), Way("fast"), Way(factor=2), Way(factor=4), Way(factor=8))


def run(rounds: int, seconds: float) -> list[Section]:
    """Compare all ways on the same files."""
    files = [(data, peek(data)) for data in jpegs(COUNT)]

    def contender(way: Way) -> Callable[[], float]:
        return lambda: rate(lambda: _decode_all(files, way), seconds)

    contenders = {("augserve_server", f"{way.jpeg}, 1/{way.factor}"): contender(way) for way in WAYS}
    return [Section.of("decoding", ABOUT, in_turns(contenders, rounds).rows("JPEG files of 500 x 375 pixels"))]


def _decode_all(files: Sequence[tuple[bytes, Header]], way: Way) -> int:
    for data, header in files:
        decode(data, header, InputRule(), way)
    return len(files)
