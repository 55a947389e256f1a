"""Plots of sections: ratios as bars, latency over the rate of arrivals, memory over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Section
from benchmarks.tables import by_task

_OURS, _OTHERS = "#1f77b4", "#b0b0b0"


def draw(section: Section, path: Path) -> bool:
    """Draw a section as an SVG file, the same bytes for the same section; False where there is nothing to draw."""
    plot = _plot_of(section)
    if plot is None:
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "augserve", "font.size": 8}):
        figure = Figure(layout="constrained")
        plot(section, figure)
        figure.savefig(path, metadata={"Date": None})
    return True


def _plot_of(section: Section) -> Callable[[Section, Any], None] | None:
    if section.series:
        return _memory
    if any(row.get("offered_per_second") for row in section.rows):
        return _latencies
    if section.rows and all("ratio" in row for row in section.rows):
        return _ratios
    return None


def _ratios(section: Section, figure: Any) -> None:
    tasks = list(by_task(section.rows))
    figure.set_size_inches(8, 0.6 + sum(0.65 + 0.2 * len(rows) for _, rows in tasks))
    many = figure.subplots(len(tasks), squeeze=False, height_ratios=[len(rows) for _, rows in tasks])[:, 0]
    for axes, (task, rows) in zip(many, tasks, strict=True):
        names = [f"{row['contender']}, {row['setting'].partition(';')[0]}" for row in rows]
        values = [row["ratio"] for row in rows]
        errors = [
            [row["ratio"] - row["lowest_ratio"] for row in rows],
            [row["highest_ratio"] - row["ratio"] for row in rows],
        ]
        colours = [_OURS if row["contender"].startswith("augserve") else _OTHERS for row in rows]
        axes.barh(names, values, color=colours, xerr=errors, error_kw={"linewidth": 0.8})
        axes.invert_yaxis()
        axes.axvline(1, color="black", linewidth=0.6)
        axes.set_title(f"{task}:\nimages/s over {rows[0]['contender']}", loc="left")


def _latencies(section: Section, figure: Any) -> None:
    rows = [row for row in section.rows if row.get("offered_per_second")]
    figure.set_size_inches(6, 3)
    axes = figure.subplots()
    offered = [row["offered_per_second"] for row in rows]
    for name, label in (("p50_ms", "median"), ("p99_ms", "99th percentile")):
        axes.plot(offered, [row[name] for row in rows], marker="o", label=label)
    axes.set(xlabel="arrivals a second", ylabel="latency, ms", yscale="log")
    axes.legend()


def _memory(section: Section, figure: Any) -> None:
    figure.set_size_inches(6, 2.5)
    axes = figure.subplots()
    axes.plot([moment / 60 for moment in section.series["seconds"]], section.series["resident_mib"])
    axes.set(xlabel="minutes", ylabel="resident memory, MiB")
    axes.set_ylim(bottom=0)
