"""How late an answer is at a fixed rate: a signed manifest by digest, 5,000 requests a second on 32 connections, the 99th percentile.

vegeta sends on time whether answers came or not, so that a stall counts for every request that it held up. Peers: nginx with the same
bytes as a static file, and a bare hyper server. The client is on the same processors: what is measured is partly itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import oci
from processes import Failed, tool

from .. import FIXTURES
from ..context import ACCEPT, SIGNED_HOST, Context, Server, check
from ..measure import Goal, Result, asking, cpu_seconds, turns

RATE = 5000
CONNECTIONS = 32


def run(context: Context) -> list[Result]:
    signed = oci.Layout(FIXTURES / "registry")
    manifest = signed.find("acme/app", "v1")["digest"]
    path, gated = f"/v2/acme/app/manifests/{manifest}", f"/v2/{SIGNED_HOST}/acme/app/manifests/{manifest}"
    gate = context.gate([{"host": SIGNED_HOST, "layout": str(signed.folder)}], [context.signed_policy()])
    root = context.document_root({path: signed.read(manifest)})
    nginx = context.nginx("nginx", "sendfile on;", f"root {root};")
    bare = context.bare("bare hyper", root / path.lstrip("/"))
    where = {gate.name: gated, nginx.name: path, bare.name: path}
    servers = [gate, nginx, bare]
    for server in [*servers, *servers]:
        check(server, where[server.name], manifest)

    late = Result("manifest at a fixed rate", f"ms, p99 at {RATE} requests/s", cpu_unit="us/request",
                  goals=[Goal(nginx.name, 1.1, at_most=True)])  # fmt: skip
    middle: dict[str, list[float]] = {server.name: [] for server in servers}

    def measure(server: Server) -> Callable[[], tuple[float, float]]:
        def once() -> tuple[float, float]:
            before = cpu_seconds(server.process.pid)
            found = attack(context, server.url(where[server.name]))
            middle[server.name].append(found["latencies"]["50th"] / 1e6)
            return found["latencies"]["99th"] / 1e6, (cpu_seconds(server.process.pid) - before) * 1e6 / found["requests"]

        return once

    turns(late, context.rounds, {server.name: measure(server) for server in servers})
    for name, found in middle.items():
        late.notes.append(f"{name}: p50 {sorted(found)[len(found) // 2]:.3f} ms")
    context.end(*servers)
    return [late]


def attack(context: Context, url: str) -> dict:
    """One run of vegeta; fails when an answer was not 200."""
    command = asking(
        tool("vegeta"), "attack", "-rate", f"{RATE}/s", "-duration", f"{context.seconds}s", "-max-body", "0",
        "-connections", str(CONNECTIONS), "-max-connections", str(CONNECTIONS), "-header", f"Accept: {ACCEPT}",
    )  # fmt: skip
    results = subprocess.run(command, input=f"GET {url}\n".encode(), capture_output=True, timeout=120, check=True).stdout
    told = subprocess.run([tool("vegeta"), "report", "-type=json"], input=results, capture_output=True, timeout=60, check=True).stdout
    found = json.loads(told)
    if found["success"] != 1:
        raise Failed(f"{url}: {found['status_codes']} {found['errors'][:3]}")
    return found
