"""The pure parts of the benchmarks; speed itself is measured by them, never asserted."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import report, wire_client
from benchmarks.gpu import NO_DEVICE, require_device
from benchmarks.measure import Target, call, in_turns, percentile
from benchmarks.memory import Memory
from benchmarks.photographs import decoded, jpegs, mean_pixels, mixed_jpegs, uniform_jpegs
from benchmarks.results import Results, Section
from benchmarks.usage import Usage
from benchmarks.wire_client import Known, Origin

from factories import make_file
from serving import run_server

RESULTS = sorted(report.RESULTS.glob("*.json"))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 5.0), (0.9, 9.0), (0.99, 10.0), (1.0, 10.0)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(10, 0, -1)], share) == expected


def test_contenders_take_turns_and_are_compared_round_by_round() -> None:
    order: list[str] = []

    def contender(name: str, rates: list[float]) -> float:
        order.append(name)
        return rates.pop(0)

    one, other = [9.0, 10.0, 20.0, 30.0], [9.0, 20.0, 20.0, 120.0]
    measured = in_turns({("a", ""): lambda: contender("a", one), ("b", ""): lambda: contender("b", other)}, 3)
    assert order == ["a", "b"] * 4
    row = measured.rows("task")[1]
    assert (row.images_per_second, row.ratio, row.lowest_ratio, row.highest_ratio) == (20.0, 2.0, 1.0, 4.0)


def test_targets_bound_the_median_from_below_or_above() -> None:
    assert Target.of("task", "what", [1.0, 1.6, 9.0], ">=", 1.5).met
    assert not Target.of("task", "what", [0.04, 0.06, 0.06], "<=", 0.05).met


def test_functions_get_the_arguments_that_they_name() -> None:
    assert call(lambda rounds: rounds, {"rounds": 3, "seconds": 1.0}) == 3


def test_the_corpus_is_distinct_and_the_same_on_every_call() -> None:
    files = mixed_jpegs(6)
    assert files == mixed_jpegs(6)
    assert len({*files, *jpegs(6)}) == 12
    longest = [max(picture.size) for picture in decoded(files)]
    assert 200 <= min(longest) < 400
    assert 2000 < max(longest) <= 4000


def test_files_of_one_size_have_the_pixels_that_were_asked_for() -> None:
    files = uniform_jpegs(3, 100_000)
    assert len({picture.size for picture in decoded(files)}) == 1
    assert mean_pixels(files) == pytest.approx(100_000, rel=0.01)


@pytest.mark.parametrize(
    ("usage", "limit"),
    [
        (Usage(2, 0.95, 1.5, 0.5, 0.3, 0.93), "GPU"),
        (Usage(2, 0.95, 1.5, 0.5, 0.3, None), "CPU"),
        (Usage(8, 0.3, 1.2, 0.95, 0.3, 0.2), "the server's event loop"),
        (Usage(8, 0.3, 1.2, 0.4, 1.0, 0.2), "the client"),
        (Usage(8, 0.3, 1.2, 0.4, 0.3, 0.2), "nothing is busy"),
    ],
)
def test_the_bottleneck_is_what_is_busy_all_the_time(usage: Usage, limit: str) -> None:
    assert usage.bottleneck().startswith(limit)


def test_memory_is_judged_after_the_warm_up() -> None:
    seconds = [float(moment) for moment in range(1, 101)]
    memory = Memory.of("task", 1, seconds, [50.0] * 9 + [100.0] * 45 + [104.0] * 46)
    assert (memory.lowest_mib, memory.highest_mib) == (100.0, 104.0)
    assert memory.spread == pytest.approx(4 / 104)
    assert memory.slope_mib_per_minute > 0


def test_an_answer_that_is_not_its_requests_own_is_seen() -> None:
    files = [make_file("JPEG", (40 + side, 60)) for side in range(3)]
    head = "POST /v1/augment/thumbnail?seed={} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n"
    requests = [Known(head.format(i, len(file)).encode() + file) for i, file in enumerate(files)]
    with run_server() as live:
        bodies = wire_client.once(live.url, requests)
        known = [Known(one.content, body) for one, body in zip(requests, bodies, strict=True)]
        right = wire_client.closed(live.url, known, 2, 0.2)
        wrong = [Known(one.content, body) for one, body in zip(requests, bodies[::-1], strict=True)]
        swapped = wire_client.opened(live.url, wrong, [Origin("127.0.0.1"), Origin("127.0.0.2")], 50.0, 0.3)
        refused = wire_client.closed(live.url, [Known(b"GET /v1/x HTTP/1.1\r\nHost: test\r\n\r\n")], 1, 0.05)
    assert right.outcomes[0].latencies_s
    assert right.outcomes[0].swapped == right.outcomes[0].failed == 0
    assert sum(one.swapped for one in swapped.outcomes) > 0
    assert refused.outcomes[0].failed == refused.outcomes[0].sent > 0


def test_a_page_is_rendered_from_saved_results(tmp_path: Path) -> None:
    rates = in_turns({("torchvision v2", "one; more"): lambda: 10.0, ("augserve", "x | y"): lambda: 25.0}, 2)
    memory = Memory.of("t", 1, [1.0, 2.0], [3.0, 3.0])
    sections = [
        Section.of("engine", "How it was.", rates.rows("simclr")),
        Section.of("memory", "How.", [memory], seconds=[1.0, 2.0], resident_mib=[3.0, 3.0]),
    ]
    Results.here("python -m benchmarks --rounds 2", sections, "a trial").save(tmp_path / "cpu.json")
    results = Results.load(tmp_path / "cpu.json")
    results.save_csv(tmp_path / "cpu.csv")
    page = tmp_path / "docs" / "performance.md"
    report.write({"cpu": results, "unremarked": Results.here("python -m benchmarks", [])}, page)
    text = page.read_text()
    assert r"| augserve | x \| y | 25 | 2.50 | 2.50 | 2.50 |" in text
    for part in ("    python -m benchmarks --rounds 2\n", results.machine, results.date, "**a trial**", "**simclr**"):
        assert part in text
    plots = sorted(path.name for path in page.with_suffix("").iterdir())
    assert plots == ["cpu-engine.svg", "cpu-memory.svg"]
    assert all(f"(performance/{name})" in text for name in plots)
    assert (tmp_path / "cpu.csv").read_text().startswith("section,task,contender")


@pytest.mark.skipif(not RESULTS, reason="no results are stored")
def test_the_page_says_what_the_stored_results_say(tmp_path: Path) -> None:
    report.write({path.stem: Results.load(path) for path in RESULTS}, tmp_path / report.PAGE.name)
    assert (tmp_path / report.PAGE.name).read_text() == report.PAGE.read_text(), "python -m benchmarks.report writes it"


def test_without_a_device_nothing_is_measured_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device") as ended:
        require_device()
    assert ended.value.code == NO_DEVICE
