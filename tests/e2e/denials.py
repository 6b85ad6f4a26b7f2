"""The table of deploy/denials.md: what each client prints when the gate refuses, as the run saw it."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from processes import Failed

BEGIN = "<!-- written by tests/e2e/run --write-docs: begin -->"
END = "<!-- written by tests/e2e/run --write-docs: end -->"

Said = dict[tuple[str, str], str]


def normal(sentence: str) -> str:
    """A sentence without what differs from run to run: folders of the run, and what would break a table."""
    sentence = re.sub(r"/[\w./-]*pullgate-e2e[\w./-]*", "…", sentence)
    return sentence.replace("|", "\\|").strip()


def rows(said: Said) -> dict[tuple[str, str], str]:
    return {key: normal(sentence) for key, sentence in said.items()}


def render(said: Said) -> str:
    lines = []
    cases = list(dict.fromkeys(case for case, _ in said))
    for case in cases:
        lines += [f"### {case}", "", "| client | prints |", "|---|---|"]
        lines += [f"| {client} | `{sentence}` |" for (of, client), sentence in rows(said).items() if of == case]
        lines.append("")
    return "\n".join(lines)


def parse(text: str) -> dict[tuple[str, str], str]:
    found = {}
    case = None
    for line in text.splitlines():
        if line.startswith("### "):
            case = line.removeprefix("### ")
        elif match := re.fullmatch(r"\| (.+?) \| `(.*)` \|", line):
            found[case, match[1]] = match[2]
    return found


def split(page: str) -> tuple[str, str, str]:
    if BEGIN not in page or END not in page:
        raise Failed(f"want the lines {BEGIN} and {END}")
    head, rest = page.split(BEGIN, 1)
    table, tail = rest.split(END, 1)
    return head, table, tail


def write(path: Path, said: Said) -> None:
    head, _, tail = split(path.read_text())
    path.write_text(f"{head}{BEGIN}\n\n{render(said)}{END}{tail}")


def compare(path: Path, said: Said) -> None:
    """Fails when a client or a case is missing or new; says, without failing, which sentences read otherwise than in the page."""
    _, table, _ = split(path.read_text())
    recorded = parse(table)
    seen = rows(said)
    if recorded.keys() != seen.keys():
        missing = sorted(seen.keys() - recorded.keys())
        stale = sorted(recorded.keys() - seen.keys())
        raise Failed(f"not in {path.name}: {missing}; only in {path.name}: {stale}; run tests/e2e/run --write-docs")
    for key in seen:
        if seen[key] != recorded[key]:
            diff = difflib.ndiff([recorded[key]], [seen[key]])
            print(f"note    {path.name} is behind for {key[1]}, {key[0]}: run tests/e2e/run --write-docs")
            print("\n".join("        " + line.rstrip() for line in diff))
