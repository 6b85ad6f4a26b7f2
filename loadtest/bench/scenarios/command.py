"""The command `pullgate verify` beside cosign's `verify` and `verify-attestation`, as whole processes, on one image on loopback.

The same question to both: is this digest signed, and attested with SPDX, by this identity?
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import oci
from processes import Failed, tool

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
        command = [str(part) for part in commands[name]]
        output = context.work / f"{name.replace(' ', '-')}.output"

        def once() -> tuple[float, None]:
            took, code = whole_process(command, environment, output)
            if code != 0:
                raise Failed(f"{name}: exit code {code}\n{output.read_text(errors='replace')[-2000:]}")
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


def whole_process(command: list[str], environment: dict[str, str], output: Path) -> tuple[float, int]:
    """Seconds from before a command's start to when it was reaped, and its exit code; what it prints is in the file `output`.

    Not by `subprocess`: where that has a timeout it looks for the end of the child, and sleeps a millisecond between two looks.
    """
    to_file = (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), to_file, (os.POSIX_SPAWN_DUP2, 1, 2)]
    started = time.perf_counter()
    child = os.posix_spawn(command[0], command, environment, file_actions=actions)
    _, status = os.waitpid(child, 0)
    return time.perf_counter() - started, os.waitstatus_to_exitcode(status)
