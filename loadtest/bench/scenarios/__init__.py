"""The scenarios, in the order they run: each has a function `run(context) -> list[Result]` and starts and ends its own servers."""

from . import (
    cold_herd, cold_manifest, cold_stream, command, memory, node_herd, paced, remembering, sbom, start, verdicts, warm,
)  # fmt: skip

ALL = {
    "warm": warm,
    "paced": paced,
    "verdicts": verdicts,
    "memory": memory,
    "remembering": remembering,
    "sbom": sbom,
    "start": start,
    "command": command,
    "cold_herd": cold_herd,
    "cold_stream": cold_stream,
    "cold_manifest": cold_manifest,
    "node_herd": node_herd,
}
# What the smoke run takes: that nothing rots, in about a minute.
SMOKE = ("warm", "memory", "command")
