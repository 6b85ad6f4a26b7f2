"""A manifest recalled while a million verdicts are remembered, beside the same while ten are, with reloads and expiry under way.

Two gates alike but for what they remember: one was asked for a million digests, and for some that it refused. Both are asked over
HTTP for the same ten digests, eight with a permit of an hour, two with one of two seconds (an audited image), which is judged again each time
it ends. Each second both are reloaded with a policy of another image changed, so that every remembered verdict still holds under the new
set; in a second measurement with the policy of the ten, so that none does. Then all million are asked in turn, told without a goal: most
of those manifests do not fit into `limits.manifest_memory` and come from the store's files, hashed.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from contextlib import contextmanager

from .. import LOADTEST
from ..context import ACCEPT, Context, Server
from ..many import REPOSITORY, Many, metric, resident
from ..measure import Goal, Result, cpu_seconds, turns, wrk

AUDITED, REFUSED = "load/audited", "load/refused"
CONNECTIONS = 32
FEW = "with ten"


def run(context: Context) -> list[Result]:
    millions = Filled(context, 20_000 if context.smoke else 1_000_000)
    found = millions.measure()
    millions.end()
    return found


class Filled:
    """Two gates in front of one origin; one of them is asked for everything."""

    def __init__(self, context: Context, verdicts: int):
        self.context, self.verdicts = context, verdicts
        self.many = Many(context, verdicts)
        self.reloads = 0
        limits = {"verdicts": max(verdicts * 7 // 5, 100), "requests": 8192}
        more = {"refusal_ttl": "2s", "verdict_ttl": "3h", "limits": limits}
        policies = [self.many.policy(), self.many.policy(AUDITED, mode="audit", signatures=[_nobody()], dangerous_no_signature=False)]
        policies.append(self.many.policy("load/other"))
        store = {"path": "/dev/shm", "max_size": "60GiB"}
        self.gates = []
        for name in ("pullgate", FEW):
            # In memory: a million files synced one by one would be a measurement of the disk.
            self.stores = [*getattr(self, "stores", []), f"/dev/shm/pullgate-load-{os.getpid()}-{name.replace(' ', '-')}"]
            store = {**store, "path": self.stores[-1]}
            self.gates.append(context.gate([self.many.upstream], policies, name=name, store=store, **more))
        self.full, self.few = self.gates
        self.idle = resident(self.full)
        # Refusals first: they end while the rest is asked for.
        self.refused = self.many.ask(self.full, 0, verdicts // 50, REFUSED, status=403)
        self.filling = self.many.ask(self.full, 0, verdicts)
        self.ten = [self.many.path(digest) for digest in self.many.digests()[:8]]
        self.ten += [self.many.path(digest, AUDITED) for digest in self.many.digests()[8:10]]

    def end(self) -> None:
        import shutil

        self.context.end(*self.gates, self.many.server)
        for store in self.stores:
            shutil.rmtree(store, ignore_errors=True)

    def measure(self) -> list[Result]:
        held = metric(self.full, "pullgate_verdicts")
        own = sum(resident(self.full)[kind] for kind in ("RssAnon", "RssShmem")) - sum(self.idle[kind] for kind in ("RssAnon", "RssShmem"))
        first = self._ten(f"{self.verdicts:,} verdicts, another policy changing", lambda: self._change("load/other"))
        first.goals.append(Goal(FEW, 0.95))
        first.notes += [
            f"{held:,.0f} verdicts remembered of {self.verdicts:,} asked for, in {self.filling['seconds']:.0f} s; RssAnon + RssShmem {own:.0f} MiB above idle, "
            f"{own * (1 << 20) / max(held, 1):.0f} bytes each",
            f"{FEW}: {metric(self.few, 'pullgate_verdicts'):,.0f} verdicts; {self.refused['asked']:,} refusals ended while they were asked for; reloads during both measurements: ",
        ]  # fmt: skip
        second = self._ten(f"{self.verdicts:,} verdicts, their policy changing", lambda: self._change(REPOSITORY))
        second.notes.append("after each reload the ten are judged again")
        first.notes[-1] += f"{metric(self.full, 'pullgate_reloads_total'):.0f}"
        return [first, second, self._all()]

    def _change(self, repository: str) -> None:
        """Writes a policy so that its fingerprint is another: an exception for a digest nobody has."""
        self.reloads += 1
        exception = {"digest": f"sha256:{self.reloads:064x}", "reason": "load test", "expires": "2099-01-01"}
        policy = self.many.policy(repository, exceptions=[exception])
        for gate in self.gates:
            self.context.write_policy(gate, policy)

    def _ten(self, name: str, change: Callable[[], None]) -> Result:
        result = Result(name, "requests/s", cpu_unit="us/request")
        paths = self.context.folder("ten") / "paths"
        paths.write_text("\n".join(self.ten) + "\n")
        with _each_second(change):
            turns(result, self.context.rounds, {gate.name: self._wrk(gate, paths) for gate in self.gates})
        return result

    def _all(self) -> Result:
        """Every remembered permit in turn, HEAD and GET: told, not judged."""
        result = Result(f"{self.verdicts:,} digests in turn", "requests/s", ours="GET", cpu_unit="us/request")
        paths = self.context.folder("all") / "paths"
        digests = self.many.digests()
        random.Random(1).shuffle(digests)
        paths.write_text("\n".join(map(self.many.path, digests)) + "\n")
        turns(result, min(self.context.rounds, 3), {"GET": self._wrk(self.full, paths)})
        result.notes.append("all but what `limits.manifest_memory` holds is read from the store's files and hashed, without a judgement")
        return result

    def _wrk(self, gate: Server, paths) -> Callable[[], tuple[float, float]]:
        environment = dict(os.environ, PATHS=str(paths), SUMMARY=str(LOADTEST / "summary.lua"))

        def once() -> tuple[float, float]:
            before = cpu_seconds(gate.process.pid)
            done = wrk(gate.url("/"), CONNECTIONS, self.context.seconds, ACCEPT, environment, script="paths.lua")
            return done["requests"] / done["seconds"], (cpu_seconds(gate.process.pid) - before) * 1e6 / done["requests"]

        return once


def _nobody() -> dict:
    return {"keyless": {"issuer": "https://nobody.acme.test", "subject": "https://nobody.acme.test/nothing"}}


@contextmanager
def _each_second(change: Callable[[], None]):
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(1):
            change()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
