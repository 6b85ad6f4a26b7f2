"""What clients do in a soak, one function each: a single visit that raises `Wrong` when the answer is not what it should be."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import socket
import ssl
import struct
import threading
import time

import oci
from cryptography import x509

from .. import MIB
from ..context import ACCEPT, LARGE_HOST, SIGNED_HOST
from .world import VICTIM, World

UNCHECKED = ssl._create_unverified_context()
WRONG_PATHS = {
    "/": 404, "/v2/../../etc/passwd": 400, f"/v2/{SIGNED_HOST}/acme/app/manifests/sha256:zz": 400,
    f"/v2/{SIGNED_HOST}/acme/app/manifests/": 404, f"/v2/{SIGNED_HOST}/ACME/app/manifests/v1": 400,
    f"/v2/{SIGNED_HOST}/acme/app/blobs/sha256:{'0' * 64}": 404, f"/v2/{SIGNED_HOST}/acme/nothing/manifests/v1": 404,
    f"/v2/{SIGNED_HOST}/acme/app/uploads/": 404, "/metrics": 404, "/v2/nowhere.test/a/manifests/v1": 404,
}  # fmt: skip


class Wrong(Exception):
    """An answer that is not what it should be."""


class Client:
    """A kept-alive connection to the gate."""

    def __init__(self, world: World, timeout=60, small=False):
        self.world, self.small = world, small
        self.connection = http.client.HTTPSConnection("127.0.0.1", world.gate.port, timeout=timeout, context=UNCHECKED)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, path: str, method="GET", **headers) -> http.client.HTTPResponse:
        if self.small and self.connection.sock is None:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
            raw.connect(("127.0.0.1", self.world.gate.port))
            raw.settimeout(60)
            self.connection.sock = UNCHECKED.wrap_socket(raw)
        self.connection.request(method, path, headers={"Accept": ACCEPT, **headers})
        return self.connection.getresponse()

    def get(self, path: str, wanted=200, **headers) -> tuple[http.client.HTTPResponse, bytes]:
        response = self.ask(path, **headers)
        body = response.read()
        if response.status != wanted:
            raise Wrong(f"{path}: {response.status} {response.reason}, wanted {wanted}")
        return response, body

    def exact(self, path: str, digest: str) -> bytes:
        body = self.get(path)[1]
        if oci.digest(body) != digest:
            raise Wrong(f"{path}: {len(body)} bytes of another digest")
        return body


def signed(repository: str, what: str) -> str:
    return f"/v2/{SIGNED_HOST}/{repository}/{what}"


def load(repository: str, what: str) -> str:
    return f"/v2/{LARGE_HOST}/{repository}/{what}"


def warm_manifest(world: World, client: Client) -> None:
    repository, digest = random.choice(world.admitted)
    client.exact(signed(repository, f"manifests/{digest}"), digest)
    client.exact(load("load/hot", "manifests/v1"), world.hot.digest)


def warm_blob(world: World, client: Client) -> None:
    client.exact(load("load/hot", f"blobs/{oci.digest(world.hot.blobs[1])}"), oci.digest(world.hot.blobs[1]))


def head(world: World, client: Client) -> None:
    layer = world.hot.blobs[1]
    for path, length in ((f"manifests/{world.hot.digest}", len(world.hot.manifest)), (f"blobs/{oci.digest(layer)}", len(layer))):
        response = client.ask(load("load/hot", path), "HEAD")
        if response.read() or response.status != 200 or int(response.headers["Content-Length"]) != length:
            raise Wrong(f"HEAD {path}: {response.status}, {response.headers['Content-Length']} bytes, wanted {length}")


def ranges(world: World, client: Client) -> None:
    layer = world.hot.blobs[1]
    path = load("load/hot", f"blobs/{oci.digest(layer)}")
    start = random.randrange(len(layer))
    end = min(len(layer), start + random.randrange(1, MIB))
    body = client.get(path, 206, Range=f"bytes={start}-{end - 1}")[1]
    if body != layer[start:end]:
        raise Wrong(f"{path}: bytes {start}-{end - 1} are others")
    client.get(path, 416, Range=f"bytes={len(layer)}-")


def refused(world: World, client: Client) -> None:
    repository, digest = random.choice(world.refused)
    body = client.get(signed(repository, f"manifests/{digest}"), 403)[1]
    if json.loads(body)["errors"][0]["code"] != "DENIED":
        raise Wrong(f"{repository}: {body[:200]!r}")


def wrong_path(world: World, client: Client) -> None:
    path, wanted = random.choice(list(WRONG_PATHS.items()))
    client.get(path, wanted)


def pull(world: World, client: Client, repository: str, tag: str, made: oci.Image) -> None:
    client.exact(load(repository, f"manifests/{tag}"), made.digest)
    for blob in made.blobs:
        client.exact(load(repository, f"blobs/{oci.digest(blob)}"), oci.digest(blob))


def cold(world: World, client: Client) -> None:
    pull(world, client, *world.push())


def again(world: World, client: Client) -> None:
    """An image pushed before: from memory, from the store, or, where it was evicted, from the registry again."""
    if pushed := world.some_pushed():
        pull(world, client, *pushed)


def cancelled(world: World, _: Client) -> None:
    """Goes away in the middle, half the time without saying so; every third time of a blob nobody has fetched yet."""
    if random.random() < 0.3:
        repository, tag, made = world.push()
    else:
        repository, tag, made = "load/hot", "v1", world.hot
    with Client(world) as client:
        client.exact(load(repository, f"manifests/{tag}"), made.digest)
        response = client.ask(load(repository, f"blobs/{oci.digest(made.blobs[1])}"))
        taken = response.read(random.randrange(1, len(made.blobs[1])))
        if response.status != 200 or not made.blobs[1].startswith(taken):
            raise Wrong(f"{repository}: {response.status}, the first {len(taken)} bytes are others")
        if random.random() < 0.5:
            client.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def slow(world: World, rate: int, seconds: float, over: threading.Event) -> None:
    """Reads the hot layer at so many bytes a second until it has all, the time is over, or the gate lets go of it."""
    layer, hasher, taken = world.hot.blobs[1], hashlib.sha256(), 0
    end = time.monotonic() + seconds
    with Client(world, small=True) as client:
        response = client.ask(load("load/hot", f"blobs/{oci.digest(layer)}"))
        if response.status != 200:
            raise Wrong(f"{response.status}, wanted 200")
        while time.monotonic() < end and taken < len(layer):
            try:
                piece = response.read(max(rate // 4, 1))
            except (OSError, http.client.HTTPException):
                return
            if layer[taken : taken + len(piece)] != piece:
                raise Wrong(f"the bytes at {taken} are others")
            if not piece or over.wait(0.25):
                return
            hasher.update(piece)
            taken += len(piece)
    if taken == len(layer) and f"sha256:{hasher.hexdigest()}" != oci.digest(layer):
        raise Wrong("all bytes, and another digest")


def storm(world: World, clients: int) -> None:
    """Many new connections at once, each for one manifest."""
    repository, digest = random.choice(world.admitted)
    every = [Client(world) for _ in range(clients)]
    path = signed(repository, f"manifests/{digest}")
    try:
        for client in every:
            client.connection.request("GET", path, headers={"Accept": ACCEPT})
        for client in every:
            response = client.connection.getresponse()
            if response.status != 200 or oci.digest(response.read()) != digest:
                raise Wrong(f"storm: {response.status}")
    finally:
        for client in every:
            client.connection.close()


def _within(seconds: float, what: str, holds) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Wrong(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def deny(world: World, denied: bool) -> None:
    """Changes the deny-list and waits until it is in force."""
    world.reload_deny(denied)

    def holds() -> bool:
        with Client(world) as client:
            response = client.ask(signed(VICTIM, f"manifests/{world.victim}"))
            response.read()
            return response.status == (403 if denied else 200)

    _within(5, f"deny-list with {'one' if denied else 'no'} entry", holds)


def certificate(world: World) -> None:
    """Replaces the certificate and waits until new connections get it."""
    serial = world.reload_certificate()

    def holds() -> bool:
        with UNCHECKED.wrap_socket(socket.create_connection(("127.0.0.1", world.gate.port), 10)) as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(True)).serial_number == serial

    _within(5, "a new certificate", holds)
