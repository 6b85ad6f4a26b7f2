"""What is served from memory and disk: a signed manifest by digest and a blob of 64 MiB, plain and over TLS 1.3.

The manifest is gated for real: cosign signed it and attested its SBOM (tests/fixtures/acme). Peers: nginx as Debian ships it with the
same bytes as static files, nginx tuned (descriptors and sizes cached; for blobs large reads in place of sendfile, which on loopback
moves a file page by page), a bare hyper server (manifests), and distribution 3 as a pull-through cache (plain only). Over TLS both
ends are pinned to TLS 1.3 with AES-256-GCM.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

import oci
from processes import Failed

from .. import FIXTURES, MIB
from ..content import Content
from ..context import ACCEPT, LARGE_HOST, SIGNED_HOST, Context, Server, check, get
from ..measure import Goal, Result, cpu_seconds, turns, wrk

CONNECTIONS = {"manifest": 32, "blob": 4}
TUNED = "open_file_cache max=100; sendfile off; output_buffers 2 512k;"


def run(context: Context) -> list[Result]:
    return [*_run(context, tls=False), *_run(context, tls=True)]


def _run(context: Context, *, tls: bool) -> list[Result]:
    content = Content(context.folder("layout"))
    _, (blob,) = content.add("load/blob", [64 * MIB])
    signed = oci.Layout(FIXTURES / "registry")
    manifest = signed.find("acme/app", "v1")["digest"]
    paths = {"manifest": f"/v2/acme/app/manifests/{manifest}", "blob": f"/v2/load/blob/blobs/{blob}"}
    gated = {
        "manifest": f"/v2/{SIGNED_HOST}/acme/app/manifests/{manifest}",
        "blob": f"/v2/{LARGE_HOST}/load/blob/blobs/{blob}",
    }
    root = context.document_root({paths["manifest"]: signed.read(manifest), paths["blob"]: content.read(blob)})
    upstreams = [{"host": SIGNED_HOST, "layout": str(signed.folder)}, {"host": LARGE_HOST, "layout": str(content.folder)}]
    gate = context.gate(upstreams, [context.signed_policy(), context.unsigned_policy()], tls=tls)
    nginx = context.nginx("nginx", "sendfile on;", f"root {root};", tls)
    tuned = context.nginx("nginx tuned", TUNED, f"root {root};", tls)
    bare = context.bare("bare hyper", root / paths["manifest"].lstrip("/"), tls)
    others = [] if tls else list(_distribution(context, signed, content))
    admit = get(gate, f"/v2/{LARGE_HOST}/load/blob/manifests/v1")
    if admit[0] != 200:
        raise Failed(f"the large image was not admitted: {admit}")

    found = []
    for scenario, digest in (("manifest", manifest), ("blob", blob)):
        servers = [gate, nginx, tuned, *others[:1], *([bare] if scenario == "manifest" else [])]
        where = {server.name: gated[scenario] if server is gate else paths[scenario] for server in servers}
        for server in [*servers, *servers]:
            check(server, where[server.name], digest)
        found.append(_measure(context, scenario, servers, where, tls))
        for server in servers:
            check(server, where[server.name], digest)
    if tls:
        found[0].notes.append(_cipher(gate) + "; " + _cipher(nginx))
    context.end(gate, nginx, tuned, bare, *others)
    return found


def _measure(context: Context, scenario: str, servers: list[Server], where: dict[str, str], tls: bool) -> Result:
    work = {"manifest": ("requests/s", "us/request"), "blob": ("MiB/s", "us/MiB")}[scenario]
    goals = {
        ("manifest", False): [Goal("nginx", 1.2), Goal("bare hyper", 0.85)],
        ("manifest", True): [Goal("nginx", 1.2)],
        ("blob", False): [Goal("nginx", 1.2)],
        ("blob", True): [Goal("nginx", 1.0)],
    }[scenario, tls]
    result = Result(f"warm {scenario}" + (" over TLS" if tls else ""), work[0], cpu_unit=work[1], goals=goals)
    environment = context.pinned_cipher if tls else dict(os.environ)

    def measure(server: Server) -> Callable[[], tuple[float, float]]:
        def once() -> tuple[float, float]:
            before = cpu_seconds(server.process.pid)
            done = wrk(server.url(where[server.name]), CONNECTIONS[scenario], context.seconds, ACCEPT, environment)
            amount = done["requests"] if scenario == "manifest" else done["bytes"] / MIB
            return amount / done["seconds"], (cpu_seconds(server.process.pid) - before) * 1e6 / amount

        return once

    turns(result, context.rounds, {server.name: measure(server) for server in servers})
    return result


def _distribution(context: Context, signed: oci.Layout, content: oci.Layout) -> tuple[Server, Server]:
    """A pull-through cache of both layouts, and the registry behind it."""
    origin = context.distribution("origin")
    registry = oci.Registry(f"http://127.0.0.1:{origin.port}")
    for layout in (signed, content):
        layout.push_to(registry, referrers_tags=True)
    return context.distribution("distribution", {"proxy": {"remoteurl": f"http://127.0.0.1:{origin.port}"}}), origin


def _cipher(server: Server) -> str:
    """What a pinned client and this server agree on."""
    command = ["openssl", "s_client", "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", "-connect", f"127.0.0.1:{server.port}"]
    told = subprocess.run(command, input="", capture_output=True, text=True, timeout=20).stdout
    return f"{server.name}: {re.search(r'New, (.*)', told).group(1)}"
