"""Images by the hundred thousand: the origin that makes them from their numbers, and asking a gate for them (`loadtest/tools`)."""

from __future__ import annotations

import json
from pathlib import Path

from processes import run

from . import MIB
from .context import Context, Server, free_port, get
from .measure import asking

HOST = "made.acme.test"
REPOSITORY = "load/app"


class Many:
    """An origin with so many images, each of a manifest of 600 bytes, a config and a layer."""

    def __init__(self, context: Context, images: int):
        self.context, self.images = context, images
        self.list = context.folder("many") / "digests"
        port = free_port()
        process = context.servers.start(
            "origin of many", context.tools("origin"), f"127.0.0.1:{port}", images, self.list, ready=("127.0.0.1", port)
        )
        self.server = Server("origin of many", port, process)
        self.upstream = {"host": HOST, "url": f"http://127.0.0.1:{port}", "plain_http": "dangerous"}

    @staticmethod
    def policy(repository=REPOSITORY, **more) -> dict:
        """A policy that asks for nothing: what is measured is remembering."""
        return {
            "name": repository.replace("/", "-"), "images": [f"{HOST}/{repository}"], "mode": "enforce", "signatures": [],
            "dangerous_no_signature": True, "attestations": [], "dangerous_no_attestation": True, **more,
        }  # fmt: skip

    def digests(self) -> list[str]:
        return self.list.read_text().split()

    def path(self, digest: str, repository=REPOSITORY) -> str:
        return f"/v2/{HOST}/{repository}/manifests/{digest}"

    def ask(self, gate: Server, first: int, last: int, repository=REPOSITORY, *, status=200, blobs=False, connections=64) -> dict:
        """Asks `gate` for images `first` to `last`, each once; every answer is hashed, and a wrong one is a failure."""
        more = ["blobs"] if blobs else []
        where = (f"127.0.0.1:{gate.port}", f"/v2/{HOST}/{repository}")
        command = asking(self.context.tools("ask"), *where, self.list, first, last, connections, status, *more)
        return json.loads(run(*command, timeout=1800).stdout)


def resident(server: Server) -> dict[str, float]:
    """RssAnon, RssFile and RssShmem of a server, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    parts = (line.partition(":") for line in lines if line.startswith("Rss"))
    return {name: int(value.split()[0]) * 1024 / MIB for name, _, value in parts}


def metric(server: Server, name: str) -> float:
    """The sum of a metric's samples."""
    text = get(Server("admin", server.admin, server.process), "/metrics")[1].decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))
