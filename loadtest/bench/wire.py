"""A registry far away: one that wants a token, behind a wire with a delay, and what it was asked."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import oci
from processes import Failed

from .context import ACCEPT, Context, Server, free_port

TOKEN = "good-for-all-repositories"


class FarRegistry:
    """`registry` behind a front that wants a bearer token, behind a wire on which every byte takes `delay_ms`."""

    def __init__(self, context: Context, registry: Server, delay_ms: int):
        port = free_port()
        challenge = f'Bearer realm="http://127.0.0.1:{port}/token",service="far"'
        answer = json.dumps({"token": TOKEN})
        self.front = context.nginx(
            f"front {delay_ms}",
            f"upstream registry {{ server 127.0.0.1:{registry.port}; keepalive 32; }}",
            f"location = /token {{ default_type application/json; return 200 '{answer}'; }}"
            f"location / {{ if ($http_authorization != 'Bearer {TOKEN}') {{ add_header WWW-Authenticate '{challenge}' always; return 401; }}"
            "proxy_pass http://registry; proxy_http_version 1.1; proxy_set_header Connection ''; }",
        )
        self.wire = context.relay(f"wire {delay_ms}", self.front, f"delay={delay_ms}", port=port)
        self.log = context.servers.log(self.wire.name)
        self.context = context

    def told(self) -> list[str]:
        """What went over the wire so far, a line for each connection and each request head."""
        return self.log.read_text().splitlines()

    def end(self) -> None:
        self.context.end(self.wire, self.front)


class Client:
    """A connection that is kept, as a node's runtime keeps one."""

    def __init__(self, server: Server, token: str | None = None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {"Accept": ACCEPT, **({"Authorization": f"Bearer {token}"} if token else {})}
        self.connection.connect()

    def get(self, path: str, digest: str | None = None) -> float:
        """Milliseconds until the last byte of an answer, whose bytes must have that digest."""
        started = time.perf_counter()
        self.connection.request("GET", path, headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - started) * 1e3
        if response.status != 200 or (digest and oci.digest(body) != digest):
            raise Failed(f"{path}: {response.status}, {oci.digest(body)}, wanted {digest}: {body[:300]!r}")
        return took


def together(count: int, server: Server, path: str) -> None:
    """So many ask for it at once, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def ask(_: int) -> None:
        client = Client(server)
        barrier.wait()
        client.get(path)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(ask, range(count)))
