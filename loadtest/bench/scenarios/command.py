"""The command `pullgate verify` beside cosign's `verify` and `verify-attestation`, as whole processes, on one image on loopback.

The same question to both: is this digest signed, and attested with SPDX, by this identity?
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import oci
from processes import Failed, run as run_command, tool

from .. import FIXTURES
from ..context import Context
from ..measure import Goal, Result, turns

REPOSITORY = "acme/app"
BOTH = "cosign, both"


def run(context: Context) -> list[Result]:
    registry = context.distribution("verify-registry")
    cases = json.loads((FIXTURES / "cases.json").read_text())
    layout = oci.Layout(FIXTURES / "registry")
    layout.push_to(oci.Registry(f"http://127.0.0.1:{registry.port}"), referrers_tags=True)
    image = f"127.0.0.1:{registry.port}/{REPOSITORY}@{layout.find(REPOSITORY, 'v1')['digest']}"
    who = [
        "--trusted-root", FIXTURES / "trusted_root.json", "--certificate-oidc-issuer", cases["issuer"],
        "--certificate-identity", cases["identity"],
    ]  # fmt: skip
    environment = dict(os.environ, HOME=str(context.work))
    commands = {
        "pullgate verify": [context.gate_binary, "verify", *who, "--type", "spdxjson", image],
        "cosign verify": [tool("cosign"), "verify", *who, image],
        "cosign verify-attestation": [tool("cosign"), "verify-attestation", *who, "--type", "spdxjson", image],
    }

    def measure(name: str) -> Callable[[], tuple[float, None]]:
        def once() -> tuple[float, None]:
            started = time.perf_counter()
            done = run_command(*commands[name], check=False, env=environment)
            took = time.perf_counter() - started
            if done.returncode != 0:
                raise Failed(f"{name}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
            return took * 1000, None

        return once

    measures = {name: measure(name) for name in commands}
    for once in measures.values():
        once()  # warms the page cache
    result = Result("the command", "ms", ours="pullgate verify", goals=[Goal(BOTH, round(1 / 15, 4), at_most=True)])
    turns(result, context.rounds * 5, measures)
    both = zip(result.rates["cosign verify"], result.rates["cosign verify-attestation"], strict=True)
    result.rates[BOTH] = [one + other for one, other in both]
    result.notes.append(f"cosign's two take {1 / result.ratio(BOTH):.1f} times as long")
    context.end(registry)
    return [result]
