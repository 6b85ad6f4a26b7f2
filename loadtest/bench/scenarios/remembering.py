"""What remembering takes in memory: idle, a hundred thousand verdicts, manifests past their bound, a million digests past theirs.

RssAnon and RssShmem are what a process takes from the machine; RssFile (its program, mapped layers) is told beside it and can be had back.
A million digests are also millions of files in the store, whose names and sizes it keeps: that grows with the store and not with what is
remembered, and is told apart by starting a gate on the same store.
The manifests here have 600 bytes and list two blobs.
"""

from __future__ import annotations

import os
import shutil
import time

from ..context import Context, Server, until
from ..many import Many, metric, resident
from ..measure import Result

MIB = 1 << 20
IDLE_MIB, VERDICTS_MIB = 30, 64
DEFAULT_VERDICTS, DEFAULT_MANIFESTS_MIB = 200_000, 64
# The defaults give permits three quarters; the rest is kept for refusals.
DEFAULT_PERMITS = DEFAULT_VERDICTS * 3 // 4


def run(context: Context) -> list[Result]:
    verdicts, flood = (2_000, 10_000) if context.smoke else (100_000, 1_000_000)
    many = Many(context, flood)
    result = Result("memory of what is remembered", "MiB")
    bare = _Gate(context, many, "verdicts alone", {"manifest_memory": "1MiB"})
    result.bounds.append(("idle: RssAnon + RssShmem", bare.idle, IDLE_MIB, "MiB"))
    result.notes.append(f"idle: RssFile {resident(bare.server)['RssFile']:.1f} MiB")
    many.ask(bare.server, 0, verdicts)
    result.bounds.append((f"{verdicts:,} verdicts, 1 MiB of manifests: above idle", bare.above(), VERDICTS_MIB, "MiB"))
    result.notes.append(f"{metric(bare.server, 'pullgate_verdicts'):,.0f} verdicts remembered, {bare.above() * MIB / verdicts:.0f} bytes each")
    alone = bare.above()
    bare.end()

    full = _Gate(context, many, "defaults", {})
    many.ask(full.server, 0, verdicts)
    told = f"{verdicts:,} verdicts and their manifests, {DEFAULT_MANIFESTS_MIB} MiB of them at most: above the same with 1 MiB"
    result.bounds.append((told, full.above() - alone, DEFAULT_MANIFESTS_MIB * 1.1, "MiB"))
    many.ask(full.server, verdicts, flood)
    remembered = metric(full.server, "pullgate_verdicts")
    result.bounds.append((f"{flood:,} digests asked for: verdicts remembered", remembered, DEFAULT_VERDICTS, "verdicts"))
    highest = VERDICTS_MIB * DEFAULT_PERMITS / 100_000 + DEFAULT_MANIFESTS_MIB * 1.1
    above = full.above()
    index = full.indexed()
    told = f"{flood:,} digests asked for: above a gate that has only counted what is in the store since"
    result.bounds.append((told, above - index, highest, "MiB"))
    result.notes.append(f"of {flood:,} digests {remembered:,.0f} are remembered, with their manifests or without: {above:.0f} MiB above idle")
    result.notes.append(f"of that, what the store knows of its files: {index:.0f} MiB, {index * MIB / flood:.0f} bytes for each digest asked for")
    full.end()
    context.end(many.server)
    return [result]


class _Gate:
    """A gate whose store is in memory, so that syncing a million files is no part of this."""

    def __init__(self, context: Context, many: Many, name: str, limits: dict):
        self.context = context
        self.store = f"/dev/shm/pullgate-load-{os.getpid()}-memory"
        more = {"limits": limits} if limits else {}
        self.server: Server = context.gate(
            [many.upstream], [many.policy()], name=name, store={"path": self.store, "max_size": "60GiB"}, **more
        )
        time.sleep(1)
        self.idle = self.now()

    def now(self) -> float:
        found = resident(self.server)
        return found["RssAnon"] + found["RssShmem"]

    def above(self) -> float:
        return self.now() - self.idle

    def indexed(self) -> float:
        """What the gate takes above idle when it is started again on its store, and has counted all of it."""
        size, server = metric(self.server, "pullgate_store_bytes"), self.server
        self.context.end(server)
        self.server = self.context.start_gate(server.name, self.context.work / f"gate-{server.name}", server.port, server.admin)
        until(lambda: metric(self.server, "pullgate_store_bytes") >= size)
        time.sleep(1)
        return self.above()

    def end(self) -> None:
        self.context.end(self.server)
        shutil.rmtree(self.store, ignore_errors=True)
