"""What stands on loopback while the tests run: two registries under the images' own names, and the gate in front of them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pki
from clients import GATE, REPOSITORY, Reference
from oci import MANIFEST_TYPES, Layout, Registry
from processes import Failed, Servers, fresh, tool
from stack import sigstore

FIXTURES = REPOSITORY / "tests/fixtures/acme"

# distribution has no referrers API, so evidence is found by tags; go-containerregistry's has one, and gets no referrers tags.
TAGS_ONLY = "registry.acme.test"
WITH_API = "referrers.acme.test"
ADDRESSES = {TAGS_ONLY: "127.0.0.2", WITH_API: "127.0.0.3", GATE.split(":")[0]: "127.0.0.4"}
POLICY = "acme-release"


def hosts_file() -> str:
    """What /etc/hosts says inside."""
    lines = [f"127.0.0.1 localhost {' '.join(sigstore.HOSTS)}"]
    lines += [f"{address} {name}" for name, address in ADDRESSES.items()]
    return "\n".join(lines) + "\n"


def enter_isolation(work: Path, program: str, *flags) -> None:
    """Starts `program` again inside `isolated`, or returns when it is there already."""
    if os.environ.get("PULLGATE_E2E_INSIDE") == "1":
        return
    os.environ["PULLGATE_E2E_INSIDE"] = "1"
    hosts = work.parent / f"{work.name}.hosts"
    hosts.write_text(hosts_file())
    isolated = str(Path(__file__).resolve().parent / "isolated")
    os.execv(isolated, [isolated, str(hosts), sys.executable, program, *map(str, flags)])


@dataclass
class Told:
    """The gate's own answer to a manifest request."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict:
        return json.loads(self.body)["errors"][0]


class World:
    """Registries with the recorded images, and the authority that everybody trusts."""

    def __init__(self, work: Path, servers: Servers):
        self.work = work
        self.servers = servers
        self.ca = work / "ca.pem"
        self.layout = Layout(FIXTURES / "registry")
        self.cases = json.loads((FIXTURES / "cases.json").read_text())
        authority = pki.Authority("pullgate-test-tls")
        self.ca.write_bytes(pki.pem(authority.certificate))
        self.tls = {}
        for name in ADDRESSES:
            key, certificate = authority.server(name)
            self.tls[name] = (work / f"{name}.pem", work / f"{name}.key")
            self.tls[name][0].write_bytes(pki.pem(certificate))
            pki.write_key(key, self.tls[name][1])
        self.registries = {name: Registry(f"https://{name}", self.ca) for name in (TAGS_ONLY, WITH_API)}
        self._start_registries()

    def _start_registries(self) -> None:
        cert, key = self.tls[TAGS_ONLY]
        config = self.work / "distribution.yaml"
        config.write_text(
            json.dumps(
                {
                    "version": "0.1",
                    "log": {"level": "warn"},
                    "storage": {"filesystem": {"rootdirectory": str(self.work / "distribution")}},
                    "http": {"addr": f"{ADDRESSES[TAGS_ONLY]}:443", "tls": {"certificate": str(cert), "key": str(key)}},
                }
            )
        )
        environment = dict(os.environ, OTEL_TRACES_EXPORTER="none")
        self.servers.start(
            "distribution", tool("registry"), "serve", config, ready=(ADDRESSES[TAGS_ONLY], 443), env=environment
        )
        cert, key = self.tls[WITH_API]
        address = f"{ADDRESSES[WITH_API]}:443"
        self.servers.start(
            "referrers", tool("referrers-registry"), "-listen", address, "-cert", cert, "-key", key,
            ready=(ADDRESSES[WITH_API], 443),
        )  # fmt: skip

    def load(self) -> None:
        """Pushes the recorded images to both registries, and makes sure that they are as different as they should be."""
        self.layout.push_to(self.registries[TAGS_ONLY], referrers_tags=True)
        self.layout.push_to(self.registries[WITH_API], referrers_tags=False)
        app = self.layout.find("acme/app", "v1")["digest"]
        for name, wanted in ((TAGS_ONLY, False), (WITH_API, True)):
            found = self.registries[name].has_referrers_api("acme/app", app)
            if found != wanted:
                raise Failed(f"{name}: wanted referrers API {wanted}, found {found}")


class Gate:
    """The program under test, in front of both registries. `command` is what comes before `serve`."""

    def __init__(self, command: list, world: World, trust_root: Path):
        self.command = command
        self.world = world
        self.address = ADDRESSES[GATE.split(":")[0]]
        self.folder = fresh(world.work / "gate")
        self._write_config(trust_root)

    def _write_config(self, trust_root: Path) -> None:
        cert, key = self.world.tls[GATE.split(":")[0]]
        upstreams = [{"host": name, "url": f"https://{name}", "ca": str(self.world.ca)} for name in (TAGS_ONLY, WITH_API)]
        policy = {
            "name": POLICY,
            "images": [f"{name}/acme/**" for name in (TAGS_ONLY, WITH_API)],
            "mode": "enforce",
            "signatures": [{"keyless": {"issuer": self.world.cases["issuer"], "subject": self.world.cases["identity"]}}],
        }
        # JSON is YAML.
        (self.folder / "policy.yaml").write_text(json.dumps(policy, indent=2))
        config = {
            "listen": f"{self.address}:5050",
            "tls": {"cert": str(cert), "key": str(key)},
            "admin": f"{self.address}:5051",
            "trust_root": str(trust_root),
            "store": {"path": str(self.folder / "store"), "max_size": "1GiB"},
            "upstreams": upstreams,
            "policies": ["policy.yaml"],
            # So that a tag that moves is seen to move within a test's patience.
            "tag_ttl": "1s",
        }
        (self.folder / "pullgate.yaml").write_text(json.dumps(config, indent=2))

    def start(self) -> None:
        self.world.servers.start(
            "gate", *self.command, "serve", "--config", self.folder / "pullgate.yaml",
            ready=(self.address, 5050), env=dict(os.environ, RUST_LOG="info"),
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            status, body = self._admin("/readyz")
            if status == 200:
                return
            if time.monotonic() > deadline:
                raise Failed(f"the gate is not ready: {status} {body}")
            time.sleep(0.1)

    def stop(self) -> None:
        code = self.world.servers.end("gate")
        if code != 0:
            raise Failed(f"on SIGTERM the gate ended with {code}")

    def ask(self, image: Reference, method="GET", what="manifests") -> Told:
        """Asks for an image by its registry as first path segment and returns the answer as it is on the wire."""
        context = ssl.create_default_context(cafile=str(self.world.ca))
        connection = http.client.HTTPSConnection(GATE, timeout=30, context=context)
        try:
            path = f"/v2/{image.host}/{image.repository}/{what}/{image.tag_or_digest}"
            connection.request(method, path, headers={"Accept": ", ".join(MANIFEST_TYPES)})
            response = connection.getresponse()
            return Told(response.status, response.reason, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def _admin(self, path: str) -> tuple[int, str]:
        try:
            connection = http.client.HTTPConnection(self.address, 5051, timeout=5)
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)
