"""A room as a crate of its own: what one mutant costs is one room's build, not the whole crate's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
CARGO = os.environ.get("CARGO", "cargo")
# Debug information is most of what is written and linked, and no test looks at it.
ENVIRONMENT = os.environ | {"CARGO_INCREMENTAL": "1", "CARGO_TARGET_DIR": str(TARGET), "CARGO_TERM_COLOR": "never"}


@dataclass(frozen=True)
class Tree:
    """A package: the rooms it compiles for each mutant, and the rooms below them, which are compiled once."""

    name: str
    rooms: tuple[str, ...]
    below: tuple[str, ...]

    @property
    def path(self) -> Path:
        return TARGET / "mutants" / self.name


@dataclass(frozen=True)
class Pass:
    """Which unit tests a mutant meets. What survives one pass meets the next, which costs more."""

    tree: Tree
    tests: tuple[str, ...]


def skipping(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--skip", name))


LOWEST = ("body", "flight", "oci", "store", "telemetry", "upstream", "yaml")
EVIDENCE = Tree("evidence", ("evidence",), LOWEST)
GATE = Tree("gate", ("gate",), (*LOWEST, "evidence", "verify", "policy"))
POLICY = Tree("policy", ("policy",), (*LOWEST, "evidence", "verify"))
# The gate over the evidence that is mutated, and what lies between.
BOTH = Tree("both", ("evidence", "verify", "policy", "gate"), LOWEST)
# Generated documents and full budgets take seconds, and what they notice an example mostly notices first.
LONG = ("::properties::", "::arbitrary::", "::bounds::", "a9_", "a11_", "j2_")
# Every recorded image through every shape of upstream takes longer than the rest of the gate's tests together.
ALL_RECORDED = ("::recorded::",)
# The last pass of a room has all the tests that count.
ROOMS = {
    # Most of what gathers evidence is held by the gate's tests.
    "evidence": (Pass(EVIDENCE, ("evidence::",)), Pass(BOTH, ("evidence::", "gate::"))),
    "gate": (Pass(GATE, ("gate::", *skipping(*ALL_RECORDED))), Pass(GATE, ("gate::",))),
    "policy": (Pass(POLICY, ("policy::", *skipping(*LONG))), Pass(POLICY, ("policy::",))),
}


def room_of(file: str) -> str:
    return file.split("/")[1]


def files() -> list[str]:
    paths = (path for room in ROOMS for path in sorted((ROOT / "src" / room).rglob("*.rs")))
    return [str(path.relative_to(ROOT)) for path in paths if not testing(path)]


def testing(path: Path) -> bool:
    return path.name in ("tests.rs", "testing.rs") or bool({"tests", "testing"} & set(path.parts))


def make(tree: Tree) -> None:
    """Brings a tree up to date. Only what differs is written: Cargo goes by times, and a second run is to build little."""
    wanted: dict[Path, str | bytes] = {}
    manifest = (ROOT / "Cargo.toml").read_text()
    profile = manifest[manifest.index("[profile.dev]") :].replace('debug = "line-tables-only"', "debug = false", 1)
    dependencies = section(manifest, "dependencies")
    development = section(manifest, "dev-dependencies")
    wanted[Path("Cargo.toml")] = (
        package(manifest, f"mutants-{tree.name}", "autobins = false\nautotests = false\n")
        + '\n[lib]\nname = "pullgate"\ndoctest = false\n\n[workspace]\nmembers = ["below"]\n'
        + f'\n[dependencies]\nbelow = {{ path = "below", package = "mutants-{tree.name}-below" }}\n{dependencies}'
        + f"\n[dev-dependencies]\n{development}\n{profile}"
    )
    # The rooms below come with their means for tests (`upstream::testing`), so they are compiled as for tests.
    extra = [line for line in development.splitlines() if line and line.split(" = ")[0] not in names(dependencies)]
    features = re.sub(r"(?m)^(tokio = .*)\"time\"\]", r'\1"test-util", "time"]', dependencies)
    wanted[Path("below/Cargo.toml")] = (
        package(manifest, f"mutants-{tree.name}-below", "") + f"\n[dependencies]\n{features}" + "\n".join(extra) + "\n"
    )
    wanted[Path("below/build.rs")] = 'fn main() {\n    println!("cargo::rustc-cfg=test");\n}\n'
    wanted[Path("below/src/lib.rs")] = "#![allow(warnings)]\n" + "".join(f"pub mod {name};\n" for name in tree.below)
    for name in tree.below:
        for path, text in sources(name):
            # Crate-wide is not wide enough for what is now two crates.
            wanted["below" / path] = re.sub(rb"pub\((crate|in crate::\w+)\)", b"pub", text) if path.suffix == ".rs" else text
    wanted[Path("src/lib.rs")] = "pub use below::*;\n" + "".join(f"pub mod {name};\n" for name in tree.rooms)
    for name in tree.rooms:
        wanted.update(sources(name))
    # One failed test tells a mutant is caught. The harness has a switch for it, which only this variable makes it listen to; set for
    # the test binary alone, since build scripts look at it too.
    wanted[Path(".cargo/config.toml")] = "[target.'cfg(all())']\nrunner = [\"env\", \"RUSTC_BOOTSTRAP=1\"]\n"
    write(tree.path, wanted)
    if not (tree.path / "Cargo.lock").exists() or newer(ROOT / "Cargo.lock", tree.path / "Cargo.lock"):
        shutil.copyfile(ROOT / "Cargo.lock", tree.path / "Cargo.lock")
    # Tests find their files by the package's folder.
    for path in ROOT.iterdir():
        link = tree.path / path.name
        if path.name not in ("src", "target", "Cargo.toml", "Cargo.lock") and not path.name.startswith(".") and not link.is_symlink():
            link.symlink_to(path)


def baseline(one: Pass, seconds: float | None) -> None:
    """Builds the tree and runs the tests unmutated: they must pass, or every mutant would look caught."""
    command = [CARGO, "test", "--lib", "--", *one.tests]
    run = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = subprocess.run(command, cwd=one.tree.path, env=ENVIRONMENT, timeout=seconds, check=False, **run)
    if process.returncode:
        raise SystemExit(f"{process.stdout[-8000:]}\nthe tests must pass before a mutant can fail them")


def section(manifest: str, name: str) -> str:
    return manifest.split(f"[{name}]\n", 1)[1].split("\n[", 1)[0] + "\n"


def names(dependencies: str) -> set[str]:
    return {line.split(" = ")[0] for line in dependencies.splitlines() if " = " in line}


def package(manifest: str, name: str, more: str) -> str:
    return f'[package]\nname = "{name}"\n{more}' + section(manifest, "package").split("\n", 1)[1]


def sources(name: str) -> list[tuple[Path, bytes]]:
    paths = [ROOT / "src" / f"{name}.rs", *(ROOT / "src" / name).rglob("*")]
    return [(path.relative_to(ROOT), path.read_bytes()) for path in paths if path.is_file()]


def newer(one: Path, other: Path) -> bool:
    return one.stat().st_mtime > other.stat().st_mtime


def write(root: Path, wanted: dict[Path, str | bytes]) -> None:
    for path, text in wanted.items():
        content = text.encode() if isinstance(text, str) else text
        place = root / path
        if not place.is_file() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    for folder in (root / "src", root / "below"):
        for place in folder.rglob("*"):
            if place.is_file() and place.relative_to(root) not in wanted:
                place.unlink()
