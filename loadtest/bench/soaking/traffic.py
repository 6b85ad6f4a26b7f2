"""Who does it: threads that repeat their acts until the soak is over, each at a pace of its own, and what became of each act."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable

from . import acts
from .acts import Client, Wrong
from .world import World

# How many clients do an act, and how long each rests between two.
CLIENTS = {
    acts.warm_manifest: (6, 0.0),
    acts.warm_blob: (1, 0.05),
    acts.head: (1, 0.01),
    acts.ranges: (1, 0.02),
    acts.refused: (2, 0.02),
    acts.wrong_path: (1, 0.02),
    acts.cold: (2, 0.8),
    acts.again: (2, 0.05),
    acts.cancelled: (2, 0.3),
}
# Slow readers: bytes a second, how many, for how long. The first kind gets all 8 MiB; the second holds more back than the gate
# waits for, and is let go.
SLOW = ((200 << 10, 4, 90), (2 << 10, 6, 120))


class Traffic:
    """All of it, from `start` to `stop`."""

    def __init__(self, world: World):
        self.world = world
        self.done: Counter = Counter()
        self.wrong: list[str] = []
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        self.over.clear()
        self.threads = []
        for act, (clients, rest) in CLIENTS.items():
            self._start(clients, lambda act=act, rest=rest: self._visits(act, rest))
        for rate, clients, seconds in SLOW:
            self._start(clients, lambda rate=rate, seconds=seconds: self._repeat("slow", 1, lambda: acts.slow(self.world, rate, seconds, self.over)))
        self._start(1, lambda: self._repeat("storm", 2, lambda: acts.storm(self.world, 150)))
        self._start(1, lambda: self._numbered("deny-list", 5, lambda number: acts.deny(self.world, number % 2 == 0)))
        self._start(1, lambda: self._numbered("policy", 7, self.world.reload_policy))
        self._start(1, lambda: self._repeat("certificate", 11, lambda: acts.certificate(self.world)))

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(200)

    def _start(self, clients: int, work: Callable[[], None]) -> None:
        for _ in range(clients):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self.threads.append(thread)

    def _visits(self, act, rest: float) -> None:
        """An act over kept connections; a new one every hundredth time, and after an error."""
        while not self.over.is_set():
            with Client(self.world) as client:
                for _ in range(100):
                    if self.over.is_set() or not self._once(act.__name__, lambda client=client: act(self.world, client)):
                        break
                    self.over.wait(rest)

    def _numbered(self, name: str, rest: float, act: Callable[[int], None]) -> None:
        number = iter(range(1 << 30))
        self._repeat(name, rest, lambda: act(next(number)))

    def _repeat(self, name: str, rest: float, act: Callable[[], None]) -> None:
        while not self.over.wait(rest):
            self._once(name, act)

    def _once(self, name: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except (Wrong, OSError, http.client.HTTPException) as error:
            self.wrong.append(f"{time.strftime('%H:%M:%S')} {name}: {type(error).__name__}: {error}"[:300])
            return False
        self.done[name] += 1
        return True
