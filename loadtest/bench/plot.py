"""One picture a scenario: every server's median as a bar, its rounds as dots, the goal as a line. Where only limits are told, each as a
bar of how much of it was used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

OURS, THEIRS, GOAL = "#1f6f8b", "#b8c4ca", "#c44536"


def draw(found: dict, folder: Path) -> None:
    """Writes `folder/SCENARIO.png` for every scenario; `found` is what `report.document` made."""
    folder.mkdir(parents=True, exist_ok=True)
    told = f"{found['machine']['processor']}, {found['machine']['cores']} cores, {found['machine']['date']}"
    for name, scenario in found["scenarios"].items():
        if scenario["medians"] or scenario["bounds"]:
            kind = _servers if scenario["medians"] else _limits
            kind(name, scenario, told, folder / (re.sub("[^A-Za-z0-9]+", "-", name) + ".png"))


@contextmanager
def _picture(rows: int, title: str, unit: str, told: str, path: Path) -> Iterator[Axes]:
    """A picture with so many rows of bars, to be drawn on."""
    figure, axes = pyplot.subplots(figsize=(7, 0.9 + 0.45 * rows), dpi=110, layout="constrained")
    yield axes
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.99, 0.005, told, fontsize=5, ha="right", color="grey")
    figure.savefig(path)
    pyplot.close(figure)


def _servers(name: str, scenario: dict, told: str, path: Path) -> None:
    servers = list(scenario["medians"])
    ours = servers[0]
    title = name + (" (noisy machine: not every goal is judged)" if scenario["noisy"] else "")
    with _picture(len(servers), title, scenario["unit"], told, path) as axes:
        for place, server in enumerate(servers):
            axes.barh(place, scenario["medians"][server], color=OURS if server == ours else THEIRS, height=0.62)
            rounds = scenario["rounds"][server]
            axes.plot(rounds, [place] * len(rounds), ".", color="black", markersize=3, alpha=0.5)
            axes.annotate(" " + _number(scenario['medians'][server]), (0.005, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
        for goal in scenario["goals"]:
            wanted = scenario["medians"].get(goal["against"], 0) * goal["goal"]
            place = servers.index(ours)
            axes.plot([wanted, wanted], [place - 0.4, place + 0.4], color=GOAL, linewidth=2)
            words = f"{goal['goal']:.3g} of {goal['against']} "
            axes.annotate(words, (wanted, place - 0.42), fontsize=6, color=GOAL, ha="right", va="bottom")
        axes.set_yticks(range(len(servers)), servers, fontsize=8)
        axes.invert_yaxis()


def _limits(name: str, scenario: dict, told: str, path: Path) -> None:
    bounds = scenario["bounds"]
    with _picture(len(bounds), name, "of the limit", told, path) as axes:
        for place, bound in enumerate(bounds):
            axes.barh(place, bound["found"] / bound["limit"], color=OURS, height=0.5)
            words = f" {bound['what']}: {_number(bound['found'])} of {_number(bound['limit'])} {bound['unit']}"
            axes.annotate(words, (0.005, place - 0.38), xycoords=("axes fraction", "data"), va="center", fontsize=6)
        axes.axvline(1, color=GOAL, linewidth=2)
        axes.set_yticks([])
        axes.set_ylim(len(bounds) - 0.5, -0.6)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def draw_soak(found: dict, path: Path) -> None:
    """One picture of a soak: memory, descriptors, threads and requests a second over time; `found` is what `loadtest/soak` made."""
    samples = found["samples"]
    seconds = [sample["second"] - samples[0]["second"] for sample in samples]
    rate = [0.0] + [
        (after["requests"] - before["requests"]) / max(after["second"] - before["second"], 1e-3)
        for before, after in zip(samples, samples[1:], strict=False)
    ]
    rows = [
        ("RssAnon, MiB", [sample["rss_anon_mib"] for sample in samples]),
        ("descriptors", [sample["descriptors"] for sample in samples]),
        ("threads", [sample["threads"] for sample in samples]),
        ("store, MiB", [sample["store_bytes"] / (1 << 20) for sample in samples]),
        ("requests/s", rate),
    ]
    figure, axes = pyplot.subplots(len(rows), 1, figsize=(8, 1.5 * len(rows)), dpi=110, sharex=True, layout="constrained")
    for row, (label, values) in zip(axes, rows, strict=True):
        row.plot(seconds, values, color=OURS, linewidth=0.9)
        row.set_ylabel(label, fontsize=7)
        row.set_ylim(bottom=0)
        row.tick_params(labelsize=6)
        row.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("seconds", fontsize=7)
    held = all(holds for _, holds, _ in found["verdicts"])
    axes[0].set_title("soak" if held else "soak (something did not hold)", fontsize=9, loc="left")
    figure.text(0.99, 0.002, f"{found['machine']['processor']}, {found['machine']['date']}", fontsize=5, ha="right", color="grey")
    figure.savefig(path)
    pyplot.close(figure)
