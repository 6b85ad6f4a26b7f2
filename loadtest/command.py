"""Times the command `pullgate verify` beside cosign's `verify` and `verify-attestation`, on one image of a registry on loopback, in turns."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path

import oci
from processes import Failed, run, tool

REPOSITORY = "acme/app"
# What the two of cosign may take, as many times what pullgate does.
GOAL = 15.0


class Verify:
    """The same question to both: is this digest signed, and attested with SPDX, by this identity?"""

    def __init__(self, gate: Path, fixtures: Path, work: Path, port: int):
        """`port` is where an empty registry listens."""
        cases = json.loads((fixtures / "cases.json").read_text())
        layout = oci.Layout(fixtures / "registry")
        layout.push_to(oci.Registry(f"http://127.0.0.1:{port}"), referrers_tags=True)
        image = f"127.0.0.1:{port}/{REPOSITORY}@{layout.find(REPOSITORY, 'v1')['digest']}"
        who = [
            "--trusted-root", fixtures / "trusted_root.json", "--certificate-oidc-issuer", cases["issuer"],
            "--certificate-identity", cases["identity"],
        ]  # fmt: skip
        self.commands = {
            "pullgate verify": [gate, "verify", *who, "--type", "spdxjson", image],
            "cosign verify": [tool("cosign"), "verify", *who, image],
            "cosign verify-attestation": [tool("cosign"), "verify-attestation", *who, "--type", "spdxjson", image],
        }
        self.environment = dict(os.environ, HOME=str(work))
        self.took: dict[str, list[float]] = {name: [] for name in self.commands}

    def measure(self, rounds: int) -> None:
        """Each command once a round; the first round warms the page cache and is not counted."""
        for round_number in range(rounds + 1):
            for name, command in self.commands.items():
                started = time.perf_counter()
                done = run(*command, check=False, env=self.environment)
                took = time.perf_counter() - started
                if done.returncode != 0:
                    raise Failed(f"{name}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
                if round_number:
                    self.took[name].append(took * 1000)

    def report(self) -> dict:
        medians = {name: statistics.median(took) for name, took in self.took.items()}
        ours = medians["pullgate verify"]
        ratio = (sum(medians.values()) - ours) / ours
        rounds = len(self.took["pullgate verify"])
        print(f"\nverify (ms, one image on loopback, median of {rounds})")
        for name, took in self.took.items():
            print(f"  {name:<28}{medians[name]:>8.1f}   {min(took):.1f} to {max(took):.1f}")
        met = "met" if ratio >= GOAL else "NOT met"
        print(f"ratio verify: cosign's two take {ratio:.1f} times as long (goal {GOAL:.0f}: {met})")
        return {"unit": "ms", "medians": {name: round(value, 2) for name, value in medians.items()}, "ratio": round(ratio, 2)}
