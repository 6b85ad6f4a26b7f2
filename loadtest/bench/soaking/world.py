"""One gate over TLS in front of a real registry: recorded images, a large one, and new ones pushed as the soak goes."""

from __future__ import annotations

import json
import os
import random
import threading
from collections import deque
from pathlib import Path

import oci
import pki

from .. import FIXTURES, MIB
from ..context import LARGE_HOST, SIGNED_HOST, Context, check

HOT = 8 * MIB
# Small enough that what is pushed in a minute or two does not fit.
STORE = "192MiB"
# Verdicts that are remembered at once: a quarter of the images a soak brings.
REMEMBERED = 500
# The image whose digest the deny-list names every other reload.
VICTIM = "acme/twice"


class World:
    """What clients may ask for, and what they should get."""

    def __init__(self, context: Context):
        self.context = context
        self.registry_server = context.distribution("soak-registry")
        self.registry = oci.Registry(f"http://127.0.0.1:{self.registry_server.port}")
        self.layout = oci.Layout(FIXTURES / "registry")
        self.layout.push_to(self.registry, referrers_tags=True)
        cases = json.loads((FIXTURES / "cases.json").read_text())["cases"]
        self.admitted = [(c["repository"], c["digest"]) for c in cases if c["admit"] and c["repository"] != VICTIM]
        self.refused = [(c["repository"], c["digest"]) for c in cases if not c["admit"]]
        self.victim = next(c["digest"] for c in cases if c["repository"] == VICTIM)
        # Images by digest, latest last: (repository, tag, image). What is older is only in the registry and perhaps the store.
        self.pushed: deque = deque(maxlen=60)
        self.numbers = iter(range(1, 1 << 30))
        self.hot = oci.image_of_layer(os.urandom(HOT))
        self.registry.push("load/hot", "v1", self.hot)
        self.lock = threading.Lock()
        self.deny = context.folder("soak-deny") / "deny.yaml"
        self.deny.write_text("[]")
        url = self.registry.base
        upstreams = [{"host": host, "url": url, "plain_http": "dangerous"} for host in (SIGNED_HOST, LARGE_HOST)]
        limits = {
            # Shorter than its default, so that a client that reads nothing is let go several times in a soak.
            "write_timeout": "20s",
            # Each new image takes memory until as many are remembered as may be. Reached in the first minutes, so that the rest
            # of a soak shows what goes for what comes. Who lists a blob and what a tag meant have bounds that no soak reaches.
            "verdicts": REMEMBERED, "manifest_memory": "1MiB",
        }  # fmt: skip
        self.gate = context.gate(
            upstreams, [context.signed_policy(), context.unsigned_policy()], name="soak", tls=True, tag_ttl="2s",
            store={"path": str(context.work / "soak-store"), "max_size": STORE}, limits=limits, deny=[str(self.deny)],
        )  # fmt: skip
        self.folder = context.work / "gate-soak"
        # Blobs are let through once their manifest was asked for.
        check(self.gate, f"/v2/{LARGE_HOST}/load/hot/manifests/v1", self.hot.digest)

    def push(self) -> tuple[str, str, oci.Image]:
        """Pushes an image nobody has seen, of half a MiB to three."""
        number = next(self.numbers)
        made = oci.image_of_layer(os.urandom(random.randrange(MIB // 2, 3 * MIB)))
        repository, tag = f"load/app-{number % 7}", f"v{number}"
        self.registry.push(repository, tag, made)
        with self.lock:
            self.pushed.append((repository, tag, made))
        return repository, tag, made

    def some_pushed(self):
        with self.lock:
            return random.choice(self.pushed) if self.pushed else None

    # --- changes while it runs

    def reload_policy(self, number: int) -> None:
        """Changes the policy of the pushed images, so that what is remembered of them does not hold any more."""
        policy = self.context.unsigned_policy()
        policy["images"].append(f"{LARGE_HOST}/reload-{number}/**")
        _replace(self.folder / "load.policy.yaml", json.dumps(policy).encode())

    def reload_deny(self, deny: bool) -> None:
        """Denies the victim, or no longer."""
        entries = [{"digest": self.victim, "reason": "SOAK-1: as if"}] if deny else []
        _replace(self.deny, json.dumps(entries).encode())

    def reload_certificate(self) -> int:
        """Puts a new certificate in place of the one in use; returns its serial number."""
        chain, secret = self.context.tls
        key, certificate = pki.Authority("soak").server("127.0.0.1", "localhost")
        fresh = chain.with_name("fresh.key")
        pki.write_key(key, fresh)
        fresh.rename(secret)
        _replace(chain, pki.pem(certificate))
        return certificate.serial_number


def _replace(path: Path, data: bytes) -> None:
    staged = path.with_name(f".{path.name}.new")
    staged.write_bytes(data)
    staged.rename(path)
