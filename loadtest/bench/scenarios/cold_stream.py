"""One client streams a blob of 64 MiB that is not here yet: the gate beside the same GET from the upstream itself.

Once through a wire of 100 MiB/s (`relay` in loadtest/tools), where the gate should be no slower than the wire; and once on bare loopback,
where hashing, writing and syncing to disk beside serving show, with nginx as a cache as the peer that only writes. Every
round fetches another blob; its bytes are compared with the blob, whose hash was checked. Before each turn what is written is
flushed. A page cache cannot be empty here: the origin reads from memory.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable

from .. import MIB
from ..context import LARGE_HOST, Context, Server, check
from ..measure import Goal, Result, cpu_seconds, turns
from ..origin import Image, Origin, proxy_cache
from .cold_herd import admit, fetch

WIRE = 100
# What the first byte may take longer than from the upstream itself, in milliseconds.
FIRST_BYTE_MS = 2.0


def run(context: Context) -> list[Result]:
    rounds = context.rounds if context.smoke else max(5, context.rounds)
    origin = Origin(context, "stream-origin")
    images = [origin.add(number) for number in range(rounds)]
    wire = context.relay("wire", origin.server, f"rate={WIRE}")
    paced = _measure(context, f"cold stream, a wire of {WIRE} MiB/s", wire, images, [], [Goal("direct", 0.97)])
    first = paced.first["pullgate"] - paced.first["direct"]
    paced.result.bounds.append(("first byte after the upstream's own", first, FIRST_BYTE_MS, "ms"))
    context.end(wire)
    nginx = proxy_cache(context, "nginx cache", origin.server)
    goals = [Goal("direct", 0.28), Goal("nginx cache", 1.0)]
    bare = _measure(context, "cold stream on loopback", origin.server, images, [nginx], goals)
    context.end(origin.server)
    return [paced.result, bare.result]


class _Measured:
    def __init__(self, result: Result, first: dict[str, float]):
        self.result, self.first = result, first


def _measure(context: Context, name: str, upstream: Server, images: list[Image], peers: list[Server], goals: list[Goal]) -> _Measured:
    """The gate with an empty store, the upstream itself and its peers, on every image once."""
    configured = {"host": LARGE_HOST, "url": upstream.url(""), "plain_http": "dangerous"}
    gate = context.gate([configured], [context.unsigned_policy()])
    for image in images:
        admit(gate, image)
    direct = Server("direct", upstream.port, upstream.process)
    servers = [gate, direct, *peers]
    result = Result(name, "MiB/s", cpu_unit="us/MiB", goals=goals)
    first: dict[str, list[float]] = {server.name: [] for server in servers}

    def measure(server: Server) -> Callable[[], tuple[float, float]]:
        left = iter(images)

        def once() -> tuple[float, float]:
            image = next(left)
            os.sync()
            cpu = cpu_seconds(server.process.pid)
            told = fetch(context, server, image, 1)
            mib = image.file.stat().st_size / MIB
            first[server.name].append(told["first_ms"])
            return mib / told["seconds"], (cpu_seconds(server.process.pid) - cpu) * 1e6 / mib

        return once

    turns(result, len(images), {server.name: measure(server) for server in servers})
    medians = {name: statistics.median(found) for name, found in first.items()}
    result.notes.append("first byte after, in ms: " + ", ".join(f"{name} {found:.2f}" for name, found in medians.items()))
    for server in servers:
        check(server, images[-1].path(server), images[-1].layer)
    context.end(gate, *peers)
    return _Measured(result, medians)
