"""Runs cargo-mutants in a room's tree and says what became of each mutant."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import trees

# A test binary that takes this long hangs; unmutated, none takes a tenth of it.
TIMEOUT = 60


@dataclass(frozen=True)
class Mutant:
    file: str
    # As cargo-mutants names it, with line and column.
    name: str
    # The same without them, but with the line it is in, so that it is still known when code above it has moved.
    key: str


@dataclass
class Outcomes:
    caught: list[Mutant] = field(default_factory=list)
    unviable: list[Mutant] = field(default_factory=list)
    timeout: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)
    # False when the time was up first.
    complete: bool = True

    def all(self) -> list[Mutant]:
        return self.caught + self.unviable + self.timeout + self.survived


def code(text: str) -> str:
    """A file's text without its tests and comments: what is mutated."""
    text = text.split("#[cfg(test)]\nmod tests {")[0]
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("//"))


def mutant(root: Path, file: str, scenario: dict) -> Mutant:
    described = re.sub(r"^[^:]*:\d+:\d+: ", "", scenario["name"])
    if scenario["genre"] != "FnValue":
        start, end = scenario["span"]["start"], scenario["span"]["end"]
        line = (root / file).read_text().splitlines()[start["line"] - 1]
        before, mutated, after = line[: start["column"] - 1], line[start["column"] - 1 :], ""
        if start["line"] == end["line"]:
            mutated, after = line[start["column"] - 1 : end["column"] - 1], line[end["column"] - 1 :]
        described += f" · {before.lstrip()}«{mutated}»{after}"
    return Mutant(file, scenario["name"], described)


def listed(files: list[str], more: list[str]) -> dict[str, list[Mutant]]:
    """The mutants there are of files. At once, since each call reads the whole crate."""
    named = [option for file in files for option in ("--file", file)]
    command = ["cargo-mutants", "mutants", "--list", "--json", *named, *more]
    output = subprocess.run(command, cwd=trees.ROOT, env=trees.ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, list[Mutant]] = {file: [] for file in files}
    # Of a diff that mutates nothing, tests for instance, it says nothing at all.
    for scenario in json.loads(output or "[]"):
        found[scenario["file"]].append(mutant(trees.ROOT, scenario["file"], scenario))
    return found


class Runner:
    """Tests files' mutants until the time is up."""

    def __init__(self, until: float = float("inf")):
        self.until = until
        self.made: set[trees.Tree] = set()
        self.passed: set[trees.Pass] = set()

    def left(self) -> float | None:
        return None if self.until == float("inf") else max(0.1, self.until - time.monotonic())

    def tested(self, file: str, more: list[str], passes: tuple[trees.Pass, ...], only: list[Mutant] | None = None) -> Outcomes:
        """What became of a file's mutants, or of these, as far as the time was enough."""
        told = Outcomes()
        left = only
        for one in passes:
            outcomes = self.once(one, file, more, left)
            told.caught += outcomes.caught
            told.unviable += outcomes.unviable
            told.timeout += outcomes.timeout
            left = told.survived = outcomes.survived
            told.complete = outcomes.complete
            if not left or not told.complete:
                break
        if told.timeout and only is None and told.complete:
            # Twice, since something else may have held up the first.
            again = self.tested(file, more, passes, told.timeout)
            told.caught += again.caught
            told.timeout = again.timeout
            told.survived += again.survived
            told.complete = again.complete
        return told

    def once(self, one: trees.Pass, file: str, more: list[str], only: list[Mutant] | None) -> Outcomes:
        try:
            self.prepare(one)
        except subprocess.TimeoutExpired:
            return Outcomes(complete=False)
        place = trees.TARGET / "mutants" / "out" / one.tree.name / file.replace("/", "+")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        options = ["--in-place", "--baseline=skip", f"--timeout={TIMEOUT}", "--colors=never", f"--output={place}", "-C=--lib"]
        tests = ["-Zunstable-options", "--fail-fast", *one.tests]
        # Called by its own name: as `cargo mutants` it would take the Cargo that started it, whatever CARGO says.
        command = ["cargo-mutants", "mutants", *options, "--file", file, *more, *chosen(only), "--", "--", *tests]
        process = subprocess.Popen(command, cwd=one.tree.path, env=trees.ENVIRONMENT | {"CARGO": trees.CARGO})
        stopped = False
        try:
            process.wait(self.left())
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # It puts the file back before it ends.
            process.send_signal(signal.SIGINT)
            process.wait()
            stopped = True
        # 0: all caught, 2: some survived, 3: some timed out.
        if not stopped and process.returncode not in (0, 2, 3):
            raise SystemExit(f"cargo-mutants ended with {process.returncode} at {file}")
        outcomes = read(one.tree.path, file, place, only)
        outcomes.complete = not stopped
        return outcomes

    def prepare(self, one: trees.Pass) -> None:
        """Once, so that the work tree may go on while a run of hours reads its own copy."""
        if one.tree not in self.made:
            trees.make(one.tree)
            self.made.add(one.tree)
        if one not in self.passed:
            trees.baseline(one, self.left())
            self.passed.add(one)


def chosen(only: list[Mutant] | None) -> list[str]:
    return [option for mutant in only or [] for option in ("--re", f"^{re.escape(mutant.name)}$")]


def read(root: Path, file: str, place: Path, only: list[Mutant] | None) -> Outcomes:
    outcomes = Outcomes()
    kinds = {"CaughtMutant": "caught", "Unviable": "unviable", "Timeout": "timeout", "MissedMutant": "survived"}
    told = place / "mutants.out" / "outcomes.json"
    for outcome in json.loads(told.read_text())["outcomes"] if told.exists() else []:
        if outcome["summary"] in kinds and outcome["scenario"] != "Baseline":
            found = mutant(root, file, outcome["scenario"]["Mutant"])
            # cargo-mutants 27.1 deletes a struct's fields whatever `--re` says.
            if only is None or found in only:
                getattr(outcomes, kinds[outcome["summary"]]).append(found)
    return outcomes
