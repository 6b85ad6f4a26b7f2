"""A thousand nodes pull one new signed image at once (five layers of 1 MiB), each on a fresh TLS connection to a gate that never saw it.

The image is made and signed by cosign for the run; every node asks for the manifest by tag, then for the config and each layer on its
connection, and hashes all it gets. The gate starts with an empty store for every round. What the upstream was asked is counted on the
wire, what was judged and verified is read from the gate's metrics. Nodes and gate share this machine: a node's half of a
handshake and its hashing take the processor that the gate is measured on, so both sides' CPU is said.
"""

from __future__ import annotations

import json
import re
import resource
from collections import Counter

import oci
from processes import Failed, run as run_command

from .. import MIB
from ..context import SIGNED_HOST, Context, Server, get
from ..measure import Result, asking, cpu_seconds
from ..signed import signed_image

NODES = 1000
REPOSITORY = "acme/herd"
MANIFEST_P99_MS = 300


def run(context: Context) -> list[Result]:
    nodes, rounds = (200, context.rounds) if context.smoke else (NODES, max(5, context.rounds))
    signed = signed_image(context.folder("herd-signed"), REPOSITORY, [MIB] * 5)
    registry = context.distribution("herd-registry")
    signed.layout.push_to(oci.Registry(registry.url("")), referrers_tags=True)
    wire = context.relay("herd-wire", registry)
    log = context.servers.log(wire.name)
    upstream = {"host": SIGNED_HOST, "url": wire.url(""), "plain_http": "dangerous"}
    result = Result(f"node herd, {nodes} nodes", "ms")
    asked, verified, cpu = Counter(), [], {"the gate's": [], "the nodes'": []}
    # One node first: what a single pull verifies is what the herd may.
    for count in (1, *[nodes] * rounds):
        gate = context.gate([upstream], [context.signed_policy()], tls=True, trust_root=str(signed.trust_root))
        before, own, theirs = len(log.read_text()), cpu_seconds(gate.process.pid), _children()
        told = _pull(context, gate, signed.digest, count)
        verified.append(_verified(gate))
        if count > 1:
            for what in ("manifest", "manifest_from_connect", "tls", "image"):
                for point in ("p50", "p99"):
                    result.add(f"{what.replace('_', ' ')}, {point}", told[what][point])
            asked |= _requests(log.read_text()[before:])
            cpu["the gate's"].append(cpu_seconds(gate.process.pid) - own)
            cpu["the nodes'"].append(_children() - theirs)
        context.end(gate)
    if any(found != verified[0] for found in verified):
        raise Failed(f"judged and verified by the herds {verified[1:]}, by one node {verified[0]}")
    judged, pieces = verified[0]
    result.bounds.append(("manifest, 99th percentile, from its request", result.median("manifest, p99"), MANIFEST_P99_MS, "ms"))
    result.bounds.append(("upstream requests for any one object, most in a round", max(asked.values()), 1, "requests"))
    result.bounds.append(("judgements in a round", judged, 1, ""))
    result.notes.append(f"{pieces} pieces of evidence verified in a round, as for one node; {len(asked)} objects asked for upstream")
    result.notes.append("CPU seconds, smallest of the rounds: " + ", ".join(f"{who} {min(seconds):.2f}" for who, seconds in cpu.items()))
    context.end(wire, registry)
    return [result]


def _pull(context: Context, gate: Server, digest: str, nodes: int) -> dict:
    address, repository = f"127.0.0.1:{gate.port}", f"/v2/{SIGNED_HOST}/{REPOSITORY}"
    return json.loads(run_command(*asking(context.tools("nodes"), address, context.authority, repository, f"v1@{digest}", nodes)).stdout)


def _children() -> float:
    """CPU seconds of the programs run to their end so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _verified(gate: Server) -> tuple[int, int]:
    """How many judgements the gate made, and how many pieces of evidence it verified."""
    status, text = get(Server(gate.name, gate.admin, gate.process), "/metrics")
    if status != 200:
        raise Failed(f"/metrics: {status}")

    def total(name: str) -> int:
        return sum(int(float(value)) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text.decode(), re.MULTILINE))

    return total("pullgate_decisions_total"), total("pullgate_verify_seconds_count")


def _requests(log: str) -> Counter:
    """How often each method and path went over the wire."""
    return Counter(re.findall(r"^request \d+ (\S+ \S+)", log, re.MULTILINE))
