"""The memory of judging an SPDX attestation of 58 MB that real cosign signed (hashedrekord 0.0.2), above an idle gate.

`tests/e2e/pipeline` does it, against its private Sigstore in namespaces of its own; here it is asked for this part and this size.
"""

from __future__ import annotations

import re

from processes import Failed, run as run_command

from .. import ROOT
from ..context import Context
from ..measure import Result

BYTES = 58_000_000
ABOVE_MIB = 32


def run(context: Context) -> list[Result]:
    done = run_command(
        ROOT / "tests/e2e/pipeline", "--gate", context.gate_binary, "--work", context.work / "sbom", "--only", "large", "--large", BYTES,
        timeout=500, check=False,
    )  # fmt: skip
    told = re.search(r"judged in ([\d.]+) s, RssAnon ([\d.]+) MiB idle, ([\d.]+) MiB above at the peak", done.stdout)
    if done.returncode != 0 or told is None:
        raise Failed(f"tests/e2e/pipeline ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    seconds, idle, above = map(float, told.groups())
    result = Result("memory of a large attestation", "MiB")
    result.bounds.append((f"{BYTES / 1e6:.0f} MB of SPDX: RssAnon above idle at the peak", above, ABOVE_MIB, "MiB"))
    result.notes.append(f"judged in {seconds:.2f} s, fetched and verified; idle RssAnon {idle:.1f} MiB")
    return [result]
