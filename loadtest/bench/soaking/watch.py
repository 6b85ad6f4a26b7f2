"""What is seen of the gate while it soaks, each second: memory, descriptors, threads, what it says of itself; and what it logged."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..context import Server, get

# What the gate says above INFO in a soak, and why it should.
EXPLAINED = {
    r"is asked over plain HTTP|asks for no (signature|attestation)|readable_secret": "weaknesses of this configuration, said at the start and at each reload",
    r"keys may not be consistent: KeyMismatch": "a new key lay there a moment before its certificate; the gate kept the old pair until both did",
}
# Growth of the last fifth over the second that counts as none.
GROWTH, SLACK_MIB = 1.10, 6
SLACK_DESCRIPTORS = 4


class Watch:
    """Samples until told to stop."""

    def __init__(self, gate: Server):
        self.gate, self.admin = gate, Server("admin", gate.admin, gate.process)
        self.samples: list[dict] = []
        self.over = threading.Event()
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.wait(1):
            self.samples.append(self.look())

    def stop(self) -> None:
        self.over.set()
        self.thread.join()

    def look(self) -> dict:
        process = Path("/proc") / str(self.gate.process.pid)
        status = process.joinpath("status").read_text()
        kib = {name: int(value) for name, value in re.findall(r"^(Rss\w+|Threads):\s+(\d+)", status, re.MULTILINE)}
        metrics = self.metrics()
        ports = {inode: port for table in ("tcp", "tcp6") for inode, port in sockets(process / "net" / table)}
        return {
            "second": round(time.monotonic() - self.began, 1),
            "rss_anon_mib": kib["RssAnon"] / 1024,
            "rss_file_mib": kib["RssFile"] / 1024,
            "descriptors": len(open_ := opened(process)),
            "open": dict(sorted(Counter(self._kind(of, ports) for of in open_).items())),
            "threads": kib["Threads"],
            "requests": sum(metrics.get("pullgate_requests_total", {}).values()),
            "connections": sum(metrics.get("pullgate_connections", {}).values()),
            "store_bytes": sum(metrics.get("pullgate_store_bytes", {}).values()),
            "ready": get(self.admin, "/readyz")[0],
        }

    def _kind(self, of: str, ports: dict[str, int]) -> str:
        """What a descriptor is of: a file, a client, an upstream, or what the runtime needs."""
        if of.startswith("/") and not of.startswith("/dev/"):
            return "files"
        port = ports.get(of)
        if port is None:
            return "others"
        return {self.gate.port: "clients", self.gate.admin: "admin"}.get(port, "upstreams")

    def metrics(self) -> dict[str, dict[str, float]]:
        """Every metric: its samples by their labels."""
        text = get(self.admin, "/metrics")[1].decode()
        found: dict[str, dict[str, float]] = {}
        for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, re.MULTILINE):
            found.setdefault(name, {})[labels] = float(value)
        return found


def opened(process: Path) -> list[str]:
    """What each open descriptor leads to."""
    found = []
    for descriptor in process.joinpath("fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Closed since they were listed.
            found.append(os.readlink(descriptor))
    return found


def sockets(table: Path) -> Iterator[tuple[str, int]]:
    """The sockets of one of the kernel's tables, as a descriptor names them, and the port each has at this end."""
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        yield f"socket:[{fields[9]}]", int(fields[1].rpartition(":")[2], 16)


def fifths(samples: list[dict], key: str) -> tuple[float, float]:
    """The medians of the second fifth and of the last."""
    values = [sample[key] for sample in samples]
    length = len(values) // 5
    return statistics.median(values[length : 2 * length]), statistics.median(values[-length:])


def settle(watch: Watch, seconds: float) -> dict:
    """Waits until no connection is open and the gate has let go of what it keeps to its upstreams; returns what is left."""
    time.sleep(seconds)
    return watch.look()


def logged(path: Path) -> tuple[dict[str, int], list[str]]:
    """What was logged above INFO: how often what is explained, and what is not."""
    explained: Counter = Counter()
    unexplained = []
    for line in path.read_text(errors="replace").splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        why = next((why for pattern, why in EXPLAINED.items() if re.search(pattern, plain)), None)
        if why:
            explained[why] += 1
        else:
            unexplained.append(plain[:400])
    return dict(explained), unexplained
