"""JPEG decoding as a pipeline may allow it, against exact and full decoding, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from augserve_pipelines import InputRule
from augserve_server.codecs import Header, Way, decode, peek
from benchmarks.measure import Row, in_turns, rate
from benchmarks.photographs import jpegs

COUNT = 32
WAYS = (Way(), Way("fast"), Way(factor=2), Way(factor=4), Way(factor=8))


def run(rounds: int, seconds: float) -> list[Row]:
    """Compare all ways on the same files."""
    files = [(data, peek(data)) for data in jpegs(COUNT)]

    def contender(way: Way) -> Callable[[], float]:
        return lambda: rate(lambda: _decode_all(files, way), seconds)

    contenders = {("augserve_server", f"{way.jpeg}, 1/{way.factor}"): contender(way) for way in WAYS}
    return in_turns("decoding JPEGs", contenders, rounds)


def _decode_all(files: Sequence[tuple[bytes, Header]], way: Way) -> int:
    for data, header in files:
        decode(data, header, InputRule(), way)
    return len(files)
