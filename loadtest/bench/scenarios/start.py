"""A start on a store with a hundred thousand objects: how long until it is ready, and until its size is counted.

The store is filled by pulling images whole through a gate. Then a gate is started on it: `/readyz` must say 200 within a second of the exec,
and the size it tells must be what lies on the disk, in whole blocks, within thirty. Once with what the kernel has cached of the disk
and once after `drop_caches`, where that is allowed.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from processes import Failed

from ..context import Context, Server, get, until
from ..many import Many, metric, resident
from ..measure import Result

READY_S, COUNTED_S = 1.0, 30.0
BLOCK = 4096
OBJECTS_OF_AN_IMAGE = 3


def run(context: Context) -> list[Result]:
    images = (3_000 if context.smoke else 99_999) // OBJECTS_OF_AN_IMAGE
    many = Many(context, images)
    # Filled in memory, where a hundred thousand syncs take no time, and copied to the disk it is started from.
    ram = Path(f"/dev/shm/pullgate-load-{os.getpid()}-start")
    store = {"path": str(ram), "max_size": "20GiB"}
    gate = context.gate([many.upstream], [many.policy()], name="start", store=store)
    try:
        many.ask(gate, 0, images, blobs=True)
        context.end(gate)
        disk = context.work / "start-store"
        shutil.copytree(ram, disk)
    finally:
        shutil.rmtree(ram, ignore_errors=True)
    config = context.work / "gate-start/pullgate.yaml"
    config.write_text(config.read_text().replace(str(ram), str(disk)))
    objects, size = _on_disk(disk)
    result = Result("start", "")
    states = {"cached": lambda: True, "not cached": _drop_caches}
    for state, prepare in states.items():
        if not prepare():
            result.notes.append(f"{state}: not measured, the kernel's caches cannot be dropped here")
            continue
        for what, seconds, limit in zip(("ready", "counted exactly"), _start(context, gate, size), (READY_S, COUNTED_S), strict=True):
            result.bounds.append((f"{objects:,} objects, {state}: {what}", seconds, limit, "s"))
    result.notes.append(f"{size / (1 << 20):,.0f} MiB on the disk in whole blocks, hints included")
    context.end(many.server)
    return [result]


def _start(context: Context, gate: Server, size: int) -> tuple[float, float]:
    """Starts the gate and returns the seconds to its being ready and to its size being exact; fails when it says another."""
    began = time.monotonic()
    started = context.start_gate("start", context.work / "gate-start", gate.port, gate.admin, wait=False)
    admin = Server("admin", started.admin, started.process)
    ready = until(lambda: get(admin, "/readyz")[0] == 200) - began
    until(lambda: metric(started, "pullgate_store_bytes") >= size)
    counted = time.monotonic() - began
    time.sleep(0.5)
    told = metric(started, "pullgate_store_bytes")
    memory = resident(started)["RssAnon"]
    context.end(started)
    if told != size:
        raise Failed(f"the store's size is {size} bytes and {told:.0f} are told")
    print(f"  start: ready after {ready:.3f} s, counted after {counted:.3f} s, RssAnon {memory:.1f} MiB", flush=True)
    return ready, counted


def _on_disk(store: Path) -> tuple[int, int]:
    """How many blobs and documents there are, and what they and the hints take in whole blocks."""
    objects = size = 0
    for kind in ("blobs", "hints"):
        for folder, _, files in os.walk(store / kind):
            for file in files:
                size += (max(os.stat(os.path.join(folder, file)).st_size, 1) + BLOCK - 1) // BLOCK * BLOCK
                objects += kind == "blobs"
    return objects, size


def _drop_caches() -> bool:
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False
