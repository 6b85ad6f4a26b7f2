"""What is known of every file: `result.json`, kept by `run`; `survivors.toml`, written by people; and `RESULT.md`, made of both."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import mutants
import trees

HERE = Path(__file__).resolve().parent
KEPT = HERE / "result.json"
KINDS = ("caught", "unviable", "timeout", "survived")


def load() -> dict[str, dict]:
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def fingerprint(text: str) -> str:
    return hashlib.sha256(mutants.code(text).encode()).hexdigest()[:16]


def current(result: dict[str, dict], file: str) -> bool:
    """Whether the file's code is the code that was mutated. Its tests may have changed; they only became more, one hopes."""
    return file in result and result[file]["code"] == fingerprint((trees.ROOT / file).read_text())


def keep(file: str, outcomes: mutants.Outcomes) -> None:
    """Read again before it is written: a run takes hours."""
    result = load()
    result[file] = {
        "code": mutated(file),
        "caught": len(outcomes.caught),
        "unviable": len(outcomes.unviable),
        "timeout": sorted(mutant.key for mutant in outcomes.timeout),
        "survived": sorted(mutant.key for mutant in outcomes.survived),
    }
    write(result)


def mutated(file: str) -> str:
    """Of the code that was mutated: the work tree may have gone on."""
    return fingerprint((trees.ROOMS[trees.room_of(file)][0].tree.path / file).read_text())


def keep_touched(file: str, listed: set[str], number: int, outcomes: mutants.Outcomes) -> None:
    """What became of the mutants in a file's changed lines, of `number` in all, `listed`; the others are as they were before."""
    result = load()
    entry = result[file]
    ran = {mutant.key for mutant in outcomes.all()}
    before = {kind: [key for key in entry[kind] if key in listed and key not in ran] for kind in ("timeout", "survived")}
    result[file] = {
        "code": mutated(file),
        "caught": len(outcomes.caught),
        "unviable": len(outcomes.unviable),
        "timeout": sorted({*before["timeout"], *(mutant.key for mutant in outcomes.timeout)}),
        "survived": sorted({*before["survived"], *(mutant.key for mutant in outcomes.survived)}),
    }
    told = sum(len(value) if isinstance(value, list) else value for key, value in result[file].items() if key != "code")
    result[file]["as before"] = number - told
    write(result)


def write(result: dict[str, dict]) -> None:
    KEPT.write_text(json.dumps(dict(sorted(result.items())), indent=1, ensure_ascii=False) + "\n")


def keep_again(file: str, tried: set[str], outcomes: mutants.Outcomes) -> None:
    """What became of survivors that were tried again; the rest of the file's result stands."""
    result = load()
    entry = result[file]
    left = {mutant.key for mutant in outcomes.survived}
    before = len(entry["survived"])
    entry["survived"] = [key for key in entry["survived"] if key not in tried or key in left]
    entry["timeout"] = sorted({*entry["timeout"], *(mutant.key for mutant in outcomes.timeout)})
    entry["caught"] += before - len(entry["survived"]) - len(outcomes.timeout)
    write(result)


def explained() -> dict[tuple[str, str], str]:
    """Why each mutant that is allowed to survive may: by file and key."""
    reasons = {}
    for entry in tomllib.loads((HERE / "survivors.toml").read_text()).get("survives", []):
        for file, keys in entry["in"].items():
            for key in keys:
                if (file, key) in reasons:
                    raise SystemExit(f"survivors.toml explains twice: {file}: {key}")
                reasons[file, key] = entry["why"]
    return reasons


def disagreements(result: dict[str, dict]) -> list[str]:
    """Survivors nobody explains, and explanations of what does not survive."""
    reasons = explained()
    survivors = {(file, key) for file, entry in result.items() for key in entry["survived"]}
    wrong = [f"survives, and survivors.toml does not say why: {file}: {key}" for file, key in sorted(survivors - set(reasons))]
    return wrong + [f"explained, but did not survive: {file}: {key}" for file, key in sorted(set(reasons) - survivors)]


def counts(result: dict[str, dict], file: str, listed: int) -> dict[str, int]:
    entry = result.get(file)
    if entry is None:
        return dict.fromkeys((*KINDS, "as before"), 0) | {"mutants": listed, "not run": listed}
    numbers = {kind: entry[kind] if isinstance(entry[kind], int) else len(entry[kind]) for kind in KINDS}
    numbers["as before"] = entry.get("as before", 0)
    return numbers | {"mutants": sum(numbers.values()), "not run": 0}


def document(result: dict[str, dict], listed: dict[str, int]) -> str:
    """`RESULT.md`."""
    columns = ("mutants", *KINDS, "as before", "not run")
    table = {file: counts(result, file, number) for file, number in listed.items()}
    lines = ["# Mutants", "", "Made by `tests/mutants/run report`; what each column and the survivors' notation mean is in `README.md`.", ""]
    heading = ["| | " + " | ".join(columns) + " |", "|---" + "|---:" * len(columns) + "|"]
    lines += heading
    for room in trees.ROOMS:
        rows = [row for file, row in table.items() if trees.room_of(file) == room]
        lines.append(f"| `{room}` | " + " | ".join(str(sum(row[column] for row in rows)) for column in columns) + " |")
    for room in trees.ROOMS:
        lines += ["", f"## {room}", "", *heading]
        for file, row in table.items():
            if trees.room_of(file) == room and row["mutants"]:
                stale = "" if file not in result or current(result, file) else " (changed since)"
                lines.append(f"| `{file.split('/', 2)[2]}`{stale} | " + " | ".join(str(row[column]) for column in columns) + " |")
    lines += ["", "## Survivors", ""]
    by_reason: dict[str, list[str]] = {}
    for (file, key), why in explained().items():
        by_reason.setdefault(why, []).append(f"- `{file}`: {shown(key)}")
    for why, entries in by_reason.items():
        lines += [why, "", *sorted(entries), ""]
    return "\n".join(lines).rstrip() + "\n"


def shown(key: str) -> str:
    described, _, line = key.partition(" · ")
    return f"{described}" + (f" in ``{line}``" if line else "")
