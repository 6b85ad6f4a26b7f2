"""The gate's memory while two hundred clients pull one blob of 1 GiB, cold and then warm, half of them slow (smoke: forty, 256 MiB).

What counts is RssAnon, sampled while they pull; a limit that is passed ends the run with 1.
"""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from processes import Failed

from .. import MIB
from ..content import Content
from ..context import LARGE_HOST, Context, Server, get
from ..measure import Result

CLIENTS = 200
SMOKE_CLIENTS = 40
RSS_ANON_LIMIT_MIB = 64


def run(context: Context) -> list[Result]:
    clients = SMOKE_CLIENTS if context.smoke else CLIENTS
    size = (256 if context.smoke else 1024) * MIB
    content = Content(context.folder("memory-layout"))
    _, (blob,) = content.add("load/huge", [size])
    gate = context.gate([{"host": LARGE_HOST, "layout": str(content.folder)}], [context.unsigned_policy()])
    status, body = get(gate, f"/v2/{LARGE_HOST}/load/huge/manifests/v1")
    if status != 200:
        raise Failed(f"the image was not admitted: {status} {body[:300]!r}")
    result = Result(f"memory under {clients} pulls", "MiB/s, all clients together")
    for state in ("cold", "warm"):
        with Peak(gate.process.pid) as peak:
            started = time.monotonic()
            _pulls(gate, clients, f"/v2/{LARGE_HOST}/load/huge/blobs/{blob}", blob, size, slow_seconds=4 if context.smoke else 60)
            seconds = time.monotonic() - started
        result.add(state, clients * size / MIB / seconds)
        found = peak.highest / MIB
        result.bounds.append((f"{state}, {clients} clients x {size // MIB} MiB: RssAnon", found, RSS_ANON_LIMIT_MIB, "MiB"))
        if found > RSS_ANON_LIMIT_MIB:
            raise Failed(f"RssAnon grew to {found:.1f} MiB, limit {RSS_ANON_LIMIT_MIB} MiB")
    context.end(gate)
    return [result]


def _pulls(gate: Server, count: int, path: str, blob: str, size: int, slow_seconds: int) -> None:
    """Every client counts its bytes; the first hashes them; every second one reads slowly, which is what fills buffers."""
    slow = f"{size // MIB // slow_seconds}M"
    curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", "300"]
    clients = []
    for number in range(count):
        rate = ["--limit-rate", slow] if number % 2 else []
        if number == 0:
            command = f"{' '.join(curl)} '{gate.url(path)}' | sha256sum"
            clients.append(subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, text=True))
        else:
            command = [*curl, *rate, "--output", "/dev/null", "--write-out", "%{size_download}", gate.url(path)]
            clients.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    for number, client in enumerate(clients):
        output = client.communicate(timeout=400)[0].split()
        wanted = blob.removeprefix("sha256:") if number == 0 else str(size)
        if client.returncode != 0 or output[0] != wanted:
            raise Failed(f"client {number}: exit code {client.returncode}, wanted {wanted}, found {output}")


class Peak:
    """Samples a process's RssAnon until told to stop."""

    def __init__(self, pid: int):
        self.status = Path(f"/proc/{pid}/status")
        self.highest = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Peak:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def _sample(self) -> None:
        while not self.over.wait(0.02):
            line = next(l for l in self.status.read_text().splitlines() if l.startswith("RssAnon:"))
            self.highest = max(self.highest, int(line.split()[1]) * 1024)
