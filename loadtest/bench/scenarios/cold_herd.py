"""Forty clients at once ask for one blob of 64 MiB that is not here yet: how long until all have it, and what the upstream was asked.

In front of the same origin: the gate (its image admitted by its manifest, the blob not fetched); nginx as a cache with its lock, which
lets the others wait until the whole blob is there; nginx with slices of 4 MiB, each with a lock of its own; and distribution 3
as a pull-through cache. Every round asks for another blob. Every byte each client gets is compared with the blob, whose hash was
checked. Before each turn what is written is flushed, so that nobody pays for another's writing. A page cache cannot be empty here:
the origin reads from memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import oci
from processes import Failed, run as run_command

from ..context import LARGE_HOST, Context, Server, check, get
from ..measure import Goal, Result, asking, cpu_seconds, turns
from ..origin import Image, Origin, proxy_cache

CLIENTS = 40
SLICED = "slice 4m; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;"


def run(context: Context) -> list[Result]:
    rounds = context.rounds if context.smoke else max(5, context.rounds)
    origin = Origin(context, "herd-origin")
    images = [origin.add(number) for number in range(rounds)]
    upstream = {"host": LARGE_HOST, "url": origin.server.url(""), "plain_http": "dangerous"}
    gate = context.gate([upstream], [context.unsigned_policy()])
    nginx = proxy_cache(context, "nginx cache", origin.server)
    sliced = proxy_cache(context, "nginx cache, sliced", origin.server, SLICED)
    distribution = context.distribution("distribution", {"proxy": {"remoteurl": origin.server.url("")}})
    servers = [gate, nginx, sliced, distribution]
    for image in images:
        admit(gate, image)
    result = Result(
        "cold herd", "ms until the last of 40 clients has 64 MiB", cpu_unit="ms",
        goals=[Goal(peer.name, 1.0, at_most=True) for peer in servers[1:]],
    )  # fmt: skip
    asked: dict[str, list[int]] = {server.name: [] for server in servers}

    def measure(server: Server) -> Callable[[], tuple[float, float]]:
        left = iter(images)

        def once() -> tuple[float, float]:
            image = next(left)
            os.sync()
            asked_before, cpu = origin.requests(image), cpu_seconds(server.process.pid)
            seconds = fetch(context, server, image, CLIENTS)["seconds"]
            asked[server.name].append(origin.requests(image) - asked_before)
            return seconds * 1e3, (cpu_seconds(server.process.pid) - cpu) * 1e3

        return once

    turns(result, rounds, {server.name: measure(server) for server in servers})
    result.bounds.append(("upstream GETs of the blob by pullgate, most in a round", max(asked[gate.name]), 1, "requests"))
    told = ", ".join(f"{name} {sorted(set(counts))}" for name, counts in asked.items())
    result.notes.append(f"upstream GETs of the blob in a round: {told}")
    for server in servers:
        check(server, images[-1].path(server), images[-1].layer)
    context.end(*servers, origin.server)
    return [result]


def admit(gate: Server, image: Image) -> None:
    """Asks for the manifest, so that the gate knows whose layer the blob is."""
    status, body = get(gate, image.path(gate, "manifests"))
    if status != 200 or oci.digest(body) != image.manifest:
        raise Failed(f"{image.repository} was not admitted: {status} {body[:300]!r}")


def fetch(context: Context, server: Server, image: Image, clients: int) -> dict:
    """So many clients fetch the layer at once and compare its bytes; what `loadtest/tools` says of it."""
    return json.loads(run_command(*asking(context.tools("fetch"), server.url(image.path(server)), image.file, clients)).stdout)
