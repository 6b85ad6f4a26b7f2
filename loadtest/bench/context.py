"""The servers a scenario asks for: the gate as it ships, and its peers."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import oci
import pki
from processes import Failed, Servers, fresh, tool

from . import FIXTURES, LOADTEST

ACCEPT = ", ".join(oci.MANIFEST_TYPES)
SIGNED_HOST = "registry.acme.test"
LARGE_HOST = "large.acme.test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """A running server."""

    name: str
    port: int
    process: subprocess.Popen
    admin: int = 0
    scheme: str = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


class Context:
    """One run: where things are, how long to measure, and the servers running now."""

    def __init__(self, gate: Path, work: Path, *, smoke: bool, rounds: int, seconds: int):
        self.gate_binary, self.work = gate, work
        self.smoke, self.rounds, self.seconds = smoke, rounds, seconds
        self.servers = Servers(work / "logs")
        # nginx's workers run as nobody and have to get through to their files.
        work.chmod(0o755)

    def folder(self, name: str) -> Path:
        folder = fresh(self.work / name)
        folder.chmod(0o755)
        return folder

    @cached_property
    def tls(self) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key, of the P-256 authority in `authority`."""
        folder = self.folder("tls")
        authority = pki.Authority("load")
        key, certificate = authority.server("127.0.0.1", "localhost")
        self.authority.write_bytes(pki.pem(authority.certificate))
        chain, secret = folder / "server.pem", folder / "server.key"
        chain.write_bytes(pki.pem(certificate))
        pki.write_key(key, secret)
        # nginx's master reads it as root, the bare server as whoever started it.
        secret.chmod(0o644)
        return chain, secret

    @property
    def authority(self) -> Path:
        """Who vouches for the certificate in `tls`, for the clients that check it."""
        return self.work / "authority.pem"

    @cached_property
    def pinned_cipher(self) -> dict:
        """An environment in which OpenSSL's clients offer TLS 1.3 with AES-256-GCM and nothing else."""
        path = self.work / "openssl.cnf"
        path.write_text(
            "openssl_conf = top\n[top]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n"
            "[default]\nMinProtocol = TLSv1.3\nCiphersuites = TLS_AES_256_GCM_SHA384\n"
        )
        return dict(os.environ, OPENSSL_CONF=str(path))

    # --- the gate

    def gate(self, upstreams: list[dict], policies: list[dict], name="pullgate", tls=False, **more) -> Server:
        """The gate with its defaults and what is given: every check, limit, timeout and metric is on."""
        folder = self.folder(f"gate-{name}")
        for policy in policies:
            (folder / f"{policy['name']}.policy.yaml").write_text(json.dumps(policy))
        port, admin = free_port(), free_port()
        config = {
            "listen": f"127.0.0.1:{port}",
            "admin": f"127.0.0.1:{admin}",
            "trust_root": str(FIXTURES / "trusted_root.json"),
            "store": {"path": str(folder / "store"), "max_size": "20GiB"},
            "upstreams": upstreams,
            "policies": ["*.policy.yaml"],
            **more,
        }
        if tls:
            certificate, key = self.tls
            config["tls"] = {"cert": str(certificate), "key": str(key)}
        (folder / "pullgate.yaml").write_text(json.dumps(config, indent=1))
        return self.start_gate(name, folder, port, admin, tls)

    def write_policy(self, gate: Server, policy: dict) -> None:
        """Puts a policy in place of the one of its name, in one step, as a gate that watches its files should find it."""
        path = self.work / f"gate-{gate.name}" / f"{policy['name']}.policy.yaml"
        staged = path.with_suffix(".new")
        staged.write_text(json.dumps(policy))
        staged.rename(path)

    def start_gate(self, name: str, folder: Path, port: int, admin: int, tls=False, wait=True) -> Server:
        """Starts, or starts again, a gate whose folder is made; returns when it listens, or, without `wait`, at once."""
        process = self.servers.start(
            name, self.gate_binary, "serve", "--config", folder / "pullgate.yaml", ready=("127.0.0.1", port) if wait else None,
            env=dict(os.environ, RUST_LOG="warn"),
        )  # fmt: skip
        return Server(name, port, process, admin, "https" if tls else "http")

    @staticmethod
    def signed_policy() -> dict:
        """Who must have signed the recorded images, and attested their SBOM."""
        cases = json.loads((FIXTURES / "cases.json").read_text())
        return {
            "name": "acme-release",
            "images": [f"{SIGNED_HOST}/acme/**"],
            "mode": "enforce",
            "signatures": [{"keyless": {"issuer": cases["issuer"], "subject": cases["identity"]}}],
        }

    @staticmethod
    def unsigned_policy() -> dict:
        """For images made on the spot: the bytes go the same way as any admitted image's."""
        return {
            "name": "load",
            "images": [f"{LARGE_HOST}/load/**"],
            "mode": "enforce",
            "signatures": [],
            "dangerous_no_signature": True,
            "attestations": [],
            "dangerous_no_attestation": True,
        }

    # --- peers

    def nginx(self, name: str, http: str, server: str, tls=False) -> Server:
        """nginx as Debian ships it, less the access log, with more in its http and server blocks."""
        folder = self.folder(name.replace(" ", "-"))
        port = free_port()
        listen = f"listen 127.0.0.1:{port};"
        if tls:
            certificate, key = self.tls
            listen = (
                f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
                "ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;"
            )
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"worker_processes auto; daemon off; pid {folder}/pid; error_log {folder}/error.log;"
            "events { worker_connections 4096; }"
            f"http {{ tcp_nopush on; access_log off; keepalive_requests 100000000; {http.replace('@', str(folder))} {temporary}"
            "types { } default_type application/octet-stream;"
            f"server {{ {listen} {server.replace('@', str(folder))} }} }}"
        )
        process = self.servers.start(
            name, "/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", ready=("127.0.0.1", port)
        )
        return Server(name, port, process, scheme="https" if tls else "http")

    def document_root(self, files: dict[str, bytes]) -> Path:
        """A folder of static files, by the path they are asked by."""
        root = self.folder("html")
        for path, content in files.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o644)
        for folder in root.rglob("*"):
            if folder.is_dir():
                folder.chmod(0o755)
        return root

    def distribution(self, name: str, more: dict | None = None) -> Server:
        """distribution 3 on a folder of its own."""
        port = free_port()
        config = self.work / f"{name}.yaml"
        storage = {"filesystem": {"rootdirectory": str(self.folder(f"{name}-data"))}}
        log = {"level": "error", "accesslog": {"disabled": True}}
        document = {"version": "0.1", "log": log, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}, **(more or {})}
        config.write_text(json.dumps(document))
        environment = dict(os.environ, OTEL_TRACES_EXPORTER="none")
        process = self.servers.start(name, tool("registry"), "serve", config, ready=("127.0.0.1", port), env=environment)
        return Server(name, port, process)

    def bare(self, name: str, file: Path, tls=False) -> Server:
        """A hyper server that answers every request with one manifest from memory, its file named by its digest: what the stack itself costs."""
        port = free_port()
        more = [str(path) for path in self.tls] if tls else []
        process = self.servers.start(name, self.tools("bare"), f"127.0.0.1:{port}", file, *more, ready=("127.0.0.1", port))
        return Server(name, port, process, scheme="https" if tls else "http")

    def relay(self, name: str, upstream: Server, *options: str, port: int | None = None) -> Server:
        """A wire in front of a server (`loadtest/tools`); what went through it is in its log."""
        port = port or free_port()
        addresses = (f"127.0.0.1:{port}", f"127.0.0.1:{upstream.port}")
        process = self.servers.start(name, self.tools("relay"), *addresses, *options, ready=("127.0.0.1", port))
        return Server(name, port, process)

    @staticmethod
    def tools(name: str) -> Path:
        """One of our own small programs, built by `loadtest/install`."""
        path = LOADTEST / "tools/target/release" / name
        if not path.exists():
            raise Failed(f"{path} is missing: run loadtest/install")
        return path

    def end(self, *servers: Server) -> None:
        for server in servers:
            self.servers.end(server.name)


def get(server: Server, path: str) -> tuple[int, bytes]:
    """One GET on a connection of its own."""
    if server.scheme == "https":
        unchecked = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=120, context=unchecked)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        connection.request("GET", path, headers={"Accept": ACCEPT})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def until(holds: Callable[[], bool], seconds: float = 60) -> float:
    """Asks until it holds, a server that does not answer yet included, and says when that was; fails when it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.002)
    raise Failed(f"not within {seconds} s")


def check(server: Server, path: str, digest: str) -> None:
    """Fails unless the server gives the bytes of that digest."""
    status, body = get(server, path)
    if status != 200 or oci.digest(body) != digest:
        raise Failed(f"{server.name}, {path}: {status}, {len(body)} bytes of {oci.digest(body)}, wanted {digest}")
