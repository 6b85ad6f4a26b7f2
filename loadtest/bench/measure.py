"""Measuring several servers in turns, and saying whether the machine was quiet enough to believe it."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import LOADTEST

# Above this spread of a server's rates (`Result.spread`) the machine counts as noisy.
NOISE = 0.15
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(session: int) -> float:
    """User and system time of every process of a session: a server started by `Servers` and its workers."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            total += int(fields[11]) + int(fields[12])
    return total / TICK


@dataclass
class Goal:
    """What the scenario promises: our figure over `against`'s, at least (or, for times, at most) `ratio`."""

    against: str
    ratio: float
    at_most: bool = False
    figure: str = "rate"

    def met(self, found: float) -> bool:
        return found <= self.ratio if self.at_most else found >= self.ratio


@dataclass
class Result:
    """The figures of one scenario: by server, one number a round; `cpu` is the server's CPU microseconds per request or MiB."""

    name: str
    unit: str
    ours: str = "pullgate"
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    cpu_unit: str = ""
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Bounds that hold or do not, without a peer: what, found, limit, unit.
    bounds: list[tuple[str, float, float, str]] = field(default_factory=list)

    def add(self, server: str, rate: float, cpu: float | None = None) -> None:
        self.rates.setdefault(server, []).append(rate)
        if cpu is not None:
            self.cpu.setdefault(server, []).append(cpu)

    def median(self, server: str) -> float:
        return statistics.median(self.rates[server])

    def spread(self, server: str) -> float:
        """How far the rounds lie apart: the middle half's width over the median, so that one odd round does not decide."""
        rates = sorted(self.rates[server])
        if len(rates) < 4:
            return (rates[-1] - rates[0]) / statistics.median(rates)
        low, _, high = statistics.quantiles(rates, n=4)
        return (high - low) / statistics.median(rates)

    def noisy(self, against: str) -> bool:
        """Whether our rounds or those of the peer lie too far apart for their ratio to be believed."""
        return any(self.spread(server) > NOISE for server in (self.ours, against))

    def ratio(self, against: str) -> float:
        """The median of the ratios of each round, since what both of a round suffered cancels out."""
        ours, theirs = self.rates[self.ours], self.rates[against]
        return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))

    def cpu_ratio(self, against: str) -> float:
        """Their CPU per unit of work over ours: above 1 where we take less."""
        return max(statistics.median(self.cpu[against]), 1e-9) / max(statistics.median(self.cpu[self.ours]), 1e-9)

    def document(self) -> dict:
        judged = [
            {"against": g.against, "goal": g.ratio, "at_most": g.at_most, "found": round(self.ratio(g.against), 3),
             "met": None if self.noisy(g.against) else g.met(self.ratio(g.against))}
            for g in self.goals
        ]  # fmt: skip
        return {
            "unit": self.unit,
            "medians": {name: round(self.median(name), 3) for name in self.rates},
            "rounds": {name: [round(rate, 3) for rate in rates] for name, rates in self.rates.items()},
            "spread": {name: round(self.spread(name), 3) for name in self.rates},
            "cpu_unit": self.cpu_unit,
            "cpu": {name: round(statistics.median(values), 3) for name, values in self.cpu.items()},
            "noisy": any(self.noisy(goal.against) for goal in self.goals),
            "goals": judged,
            "bounds": [
                {"what": what, "found": round(found, 3), "limit": limit, "unit": unit, "met": found <= limit}
                for what, found, limit, unit in self.bounds
            ],
            "notes": self.notes,
        }


def turns(result: Result, rounds: int, measures: dict[str, Callable[[], tuple[float, float | None]]]) -> None:
    """Gives every server its turn in each round, in an order that shifts; a measure returns a rate and perhaps CPU a unit."""
    names = list(measures)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            result.add(name, *measures[name]())


_off_the_servers: list[str] = []


def keep_apart(servers: int, others: int) -> None:
    """From now on servers, which inherit this, work on one processor, and programs that ask them on another."""
    os.sched_setaffinity(0, {servers})
    _off_the_servers[:] = ["taskset", "--cpu-list", str(others)]


def asking(*command: object) -> list[object]:
    """`command`, a program that asks servers, as it is to be started: off their processor, if they are kept apart."""
    return [*_off_the_servers, *command]


def wrk(url: str, connections: int, seconds: int, accept: str, environment: dict | None = None, script="summary.lua") -> dict:
    """One run of wrk; fails when a request was refused or broken."""
    from processes import Failed, run

    command = asking(
        "wrk", "--threads", "1", "--connections", connections, "--duration", f"{seconds}s", "--timeout", "30s",
        "--script", LOADTEST / script, "--header", f"Accept: {accept}", url,
    )  # fmt: skip
    done = run(*command, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise Failed(f"{url}: {found}")
    return found
