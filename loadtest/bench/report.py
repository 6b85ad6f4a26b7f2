"""Telling what was found: a table for people, a document for tools."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from .measure import NOISE, Result


def machine() -> dict:
    model = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": os.cpu_count(),
        "processor": model.group(1) if model else platform.machine(),
        "kernel": platform.release(),
        "date": datetime.date.today().isoformat(),
        "nginx": _version("/usr/sbin/nginx", "-v"),
        "wrk": _version("wrk", "-v"),
    }


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).splitlines() or ["?"])[0]


def show(result: Result) -> None:
    """Prints one scenario: every server's median with its range and CPU, then each goal."""
    rounds = len(next(iter(result.rates.values()), []))
    if result.rates:
        print(f"\n{result.name} ({result.unit}, median of {rounds})")
    else:
        print(f"\n{result.name}")
    for name, rates in result.rates.items():
        cpu = ""
        if name in result.cpu:
            cpu = f"   {sorted(result.cpu[name])[len(result.cpu[name]) // 2]:10.1f} {result.cpu_unit} of its CPU"
        print(f"  {name:<28}{result.median(name):>12.5g}   {min(rates):.5g} to {max(rates):.5g}{cpu}")
    for goal in result.goals:
        found = result.ratio(goal.against)
        sign = "at most" if goal.at_most else "at least"
        if result.noisy(goal.against):
            verdict = f"NOT judged: the machine is noisy (rounds lie more than {NOISE:.0%} apart)"
            if goal.against in result.cpu and result.ours in result.cpu:
                verdict += f"; of {goal.against}'s CPU a unit we take {1 / result.cpu_ratio(goal.against):.2f}"
        else:
            verdict = "met" if goal.met(found) else "NOT met"
        print(f"ratio {result.name}: {found:.3f} of {goal.against} (goal: {sign} {goal.ratio}: {verdict})")
    for what, found, limit, unit in result.bounds:
        print(f"  {what}: {found:.4g} {unit} (limit {limit:g}: {'met' if found <= limit else 'NOT met'})")
    for note in result.notes:
        print(f"  {note}")


def document(results: list[Result], rounds: int, seconds: int) -> dict:
    return {"machine": machine(), "rounds": rounds, "seconds": seconds, "scenarios": {r.name: r.document() for r in results}}
