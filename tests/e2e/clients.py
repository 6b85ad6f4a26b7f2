"""The clients that pull: each with storage of its own, each able to ask through the gate or, as the control, past it.

Past the gate is the same command without our configuration: the upstream answers under the image's own name.
"""

from __future__ import annotations

import abc
import io
import json
import os
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from oci import Layout, digest
from processes import Failed, Servers, fresh, run, tool

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"

GATE = "pullgate.internal:5050"


@dataclass(frozen=True)
class Reference:
    """An image as a person writes it: `registry.acme.test/acme/app:v1`, or with `@sha256:…`."""

    host: str
    repository: str
    tag_or_digest: str

    @property
    def suffix(self) -> str:
        return ("@" if ":" in self.tag_or_digest else ":") + self.tag_or_digest

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{self.suffix}"

    def at_gate(self) -> str:
        """The same image by the gate's name, for clients that know no mirrors: the registry is the first path segment."""
        return f"{GATE}/{self}"


@dataclass
class Expected:
    """What must have arrived: the bytes of the reference's own manifest, of the image for this platform, and of its blobs."""

    root: str
    manifest: str
    blobs: list[str]
    hello: str

    @classmethod
    def of(cls, layout: Layout, name: str) -> Expected:
        root = json.loads(layout.read(name))
        manifest = name
        if "manifests" in root:
            manifest = next(m["digest"] for m in root["manifests"] if m["platform"]["architecture"] == "amd64")
        document = json.loads(layout.read(manifest))
        blobs = [document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]
        with tarfile.open(fileobj=io.BytesIO(layout.read(blobs[-1]))) as archive:
            hello = archive.extractfile("hello.txt").read().decode()
        return cls(name, manifest, blobs, hello)

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys([self.root, self.manifest, *self.blobs]))


@dataclass
class Outcome:
    """What a client did and said."""

    pulled: bool
    said: str


class Client(abc.ABC):
    """One client. `name` is the row of the table in the docs."""

    name: str

    def __init__(self, work: Path, ca: Path):
        self.work = work
        self.environment = dict(os.environ, SSL_CERT_FILE=str(ca), HOME=str(work / "home"))
        (work / "home").mkdir(parents=True, exist_ok=True)

    @abc.abstractmethod
    def pull(self, image: Reference, *, through_gate: bool) -> Outcome:
        """Pulls into this client's storage."""

    @abc.abstractmethod
    def check(self, image: Reference, expected: Expected) -> None:
        """Raises `Failed` unless what the last pull left in the storage is byte for byte what is expected."""

    @abc.abstractmethod
    def forget(self) -> None:
        """Empties the storage, so that the next pull starts from nothing."""

    def _do(self, *command, **kwargs) -> Outcome:
        done = run(*command, check=False, env=self.environment, **kwargs)
        return Outcome(done.returncode == 0, one_line(done.stderr if done.returncode else done.stdout))


def one_line(text: str) -> str:
    """What was printed as one line, without the clock, colours and side remarks that differ from run to run."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    text = re.sub(r'time="[^"]*" ', "", text)
    # A fatal line is the client's last word (skopeo's form); the others are not what it failed of.
    text = re.sub(r"^level=(debug|info|warning|error) .*$", "", text, flags=re.MULTILINE)
    return " ".join(text.split())


def same_bytes(name: str, data: bytes) -> None:
    if digest(data) != name:
        raise Failed(f"wanted {name}, found {digest(data)} ({len(data)} bytes)")


class Containerd:
    """A containerd daemon with everything of its own; used by `Ctr` and by `Cri`."""

    def __init__(self, version: str, daemon: str, ctr: str, work: Path, ca: Path, servers: Servers):
        self.version = version
        self.ctr = ctr
        self.work = fresh(work)
        self.socket = work / "containerd.sock"
        self.hosts = work / "certs.d"
        self.ca = ca
        self.environment = dict(os.environ, SSL_CERT_FILE=str(ca))
        config = work / "config.toml"
        config.write_text(self._config())
        # It looks for runc and CNI when it starts the CRI plugin; pulling needs neither.
        servers.start(f"containerd-{version}", daemon, "--config", config, ready=self.socket, env=self.environment)

    def _config(self) -> str:
        base = (DEPLOY / f"containerd/config-{self.version[0]}.x.toml").read_text()
        return (
            f'root = "{self.work}/root"\nstate = "{self.work}/state"\n'
            + base.replace("/etc/containerd/certs.d", str(self.hosts))
            + f'\n[grpc]\n  address = "{self.socket}"\n'
            + f'\n[plugins."io.containerd.internal.v1.opt"]\n  path = "{self.work}/opt"\n'
            # Or a blob that another test's namespace holds would be taken from there instead of being pulled.
            + '\n[plugins."io.containerd.metadata.v1.bolt"]\n  content_sharing_policy = "isolated"\n'
        )

    def route(self, host: str, through_gate: bool) -> None:
        """Lays the shipped hosts.toml for `host`, or takes it away. Both are read anew for every pull."""
        shutil.rmtree(self.hosts, ignore_errors=True)
        self.hosts.mkdir()
        if through_gate:
            (self.hosts / "_default").mkdir()
            text = (DEPLOY / "containerd/hosts.toml").read_text()
            (self.hosts / "_default/hosts.toml").write_text(text.replace("/etc/pullgate/ca.crt", str(self.ca)))

    def command(self, namespace: str, *arguments) -> list[str]:
        return [self.ctr, "--address", str(self.socket), "--namespace", namespace, *map(str, arguments)]

    def content(self, namespace: str, name: str) -> bytes:
        return run(*self.command(namespace, "content", "get", name), text=False).stdout

    def empty(self, namespace: str) -> None:
        names = run(*self.command(namespace, "images", "ls", "-q")).stdout.split()
        if names:
            run(*self.command(namespace, "images", "rm", "--sync", *names))
        left = run(*self.command(namespace, "content", "ls", "-q")).stdout.split()
        if left:
            run(*self.command(namespace, "content", "rm", *left))


class Ctr(Client):
    """`ctr images pull --hosts-dir`: what an operator types on the node."""

    def __init__(self, containerd: Containerd, work: Path, ca: Path):
        super().__init__(work, ca)
        self.containerd = containerd
        self.name = f"containerd {containerd.version} (ctr)"
        self.namespace = "e2e"

    def pull(self, image, *, through_gate):
        self.containerd.route(image.host, through_gate)
        return self._do(
            *self.containerd.command(self.namespace, "images", "pull", "--hosts-dir", self.containerd.hosts, image)
        )

    def check(self, image, expected):
        for name in expected.all:
            same_bytes(name, self.containerd.content(self.namespace, name))
        mounted = fresh(self.work / "mounted")
        run(*self.containerd.command(self.namespace, "images", "mount", image, mounted))
        try:
            found = (mounted / "hello.txt").read_text()
        finally:
            run(*self.containerd.command(self.namespace, "images", "unmount", "--rm", mounted))
        if found != expected.hello:
            raise Failed(f"hello.txt: wanted {expected.hello!r}, found {found!r}")

    def forget(self):
        self.containerd.empty(self.namespace)


class Cri(Client):
    """CRI `PullImage`: what the kubelet calls."""

    namespace = "k8s.io"

    def __init__(self, containerd: Containerd, work: Path, ca: Path):
        super().__init__(work, ca)
        self.containerd = containerd
        self.name = f"containerd {containerd.version} (CRI)"

    def pull(self, image, *, through_gate):
        self.containerd.route(image.host, through_gate)
        return self._do(tool("cri"), "-socket", self.containerd.socket, "pull", image)

    def check(self, image, expected):
        for name in expected.all:
            same_bytes(name, self.containerd.content(self.namespace, name))
        status = json.loads(run(tool("cri"), "-socket", self.containerd.socket, "status", image).stdout)
        wanted = f"{image.host}/{image.repository}@{expected.root}"
        if wanted not in status["repo_digests"]:
            raise Failed(f"ImageStatus: wanted {wanted}, found {status['repo_digests']}")

    def forget(self):
        self.containerd.empty(self.namespace)


def registries_conf(work: Path, host: str, through_gate: bool) -> Path:
    """The shipped registries.conf for `host`, or one that says nothing."""
    path = work / "registries.conf"
    shipped = (DEPLOY / "containers/registries.conf").read_text()
    path.write_text(shipped.replace("ghcr.io", host) if through_gate else "")
    return path


class Skopeo(Client):
    """skopeo, by the registries.conf that CRI-O reads too."""

    name = "skopeo"

    def pull(self, image, *, through_gate):
        target = fresh(self.work / "copied")
        conf = registries_conf(self.work, image.host, through_gate)
        return self._do(
            "skopeo", "--insecure-policy", "--registries-conf", conf, "copy", "--all", "--preserve-digests",
            f"docker://{image}", f"dir:{target}",
        )  # fmt: skip

    def check(self, image, expected):
        copied = self.work / "copied"
        same_bytes(expected.root, (copied / "manifest.json").read_bytes())
        if expected.manifest != expected.root:
            same_bytes(expected.manifest, (copied / f"{expected.manifest.removeprefix('sha256:')}.manifest.json").read_bytes())
        for blob in expected.blobs:
            same_bytes(blob, (copied / blob.removeprefix("sha256:")).read_bytes())

    def forget(self):
        fresh(self.work / "copied")


class Podman(Client):
    """podman, by the same registries.conf, into storage of its own."""

    name = "podman"

    def pull(self, image, *, through_gate):
        conf = registries_conf(self.work, image.host, through_gate)
        environment = dict(self.environment, CONTAINERS_REGISTRIES_CONF=str(conf))
        done = run(*self._podman("pull", "--quiet", image), check=False, env=environment)
        return Outcome(done.returncode == 0, one_line(done.stderr if done.returncode else done.stdout))

    def check(self, image, expected):
        found = json.loads(run(*self._podman("image", "inspect", image), env=self.environment).stdout)[0]
        if found["Digest"] not in (expected.root, expected.manifest):
            raise Failed(f"digest: wanted {expected.root}, found {found['Digest']}")
        if found["Id"] != expected.blobs[0].removeprefix("sha256:"):
            raise Failed(f"id: wanted that of the config {expected.blobs[0]}, found {found['Id']}")
        folder = run(*self._podman("image", "mount", image), env=self.environment).stdout.strip()
        hello = (Path(folder) / "hello.txt").read_text()
        if hello != expected.hello:
            raise Failed(f"hello.txt: wanted {expected.hello!r}, found {hello!r}")
        run(*self._podman("image", "unmount", image), env=self.environment)

    def forget(self):
        run(*self._podman("image", "rm", "--all", "--force"), env=self.environment)

    def _podman(self, *arguments) -> list[str]:
        return [
            "podman", "--root", f"{self.work}/storage", "--runroot", f"{self.work}/run", "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "none", *map(str, arguments),
        ]  # fmt: skip


class Crane(Client):
    """crane, which knows no mirrors: people write the gate's name."""

    name = "crane"

    def pull(self, image, *, through_gate):
        name = image.at_gate() if through_gate else str(image)
        return self._do(tool("crane"), "pull", "--format", "oci", name, fresh(self.work / "pulled"))

    def check(self, image, expected):
        layout = Layout(self.work / "pulled")
        for name in expected.all:
            same_bytes(name, layout.read(name))
        manifest = run(tool("crane"), "manifest", image.at_gate(), text=False, env=self.environment).stdout
        same_bytes(expected.root, manifest)

    def forget(self):
        fresh(self.work / "pulled")


class Oras(Client):
    """oras, likewise."""

    name = "oras"

    def pull(self, image, *, through_gate):
        name = image.at_gate() if through_gate else str(image)
        return self._do(tool("oras"), "copy", "--no-tty", "--to-oci-layout", name, f"{fresh(self.work / 'pulled')}:copied")

    def check(self, image, expected):
        layout = Layout(self.work / "pulled")
        for name in expected.all:
            same_bytes(name, layout.read(name))
        manifest = run(tool("oras"), "manifest", "fetch", image.at_gate(), text=False, env=self.environment).stdout
        same_bytes(expected.root, manifest)

    def forget(self):
        fresh(self.work / "pulled")


def all_clients(work: Path, ca: Path, servers: Servers) -> list[Client]:
    """Every client, the containerd daemons running."""
    older = Containerd("1.6", "/usr/bin/containerd", "/usr/bin/ctr", work / "containerd-1.6", ca, servers)
    newer = Containerd("2.4", tool("containerd"), tool("ctr"), work / "containerd-2.4", ca, servers)
    return [
        Ctr(older, work / "ctr-1.6", ca),
        Cri(older, work / "cri-1.6", ca),
        Ctr(newer, work / "ctr-2.4", ca),
        Cri(newer, work / "cri-2.4", ca),
        Skopeo(work / "skopeo", ca),
        Podman(work / "podman", ca),
        Crane(work / "crane", ca),
        Oras(work / "oras", ca),
    ]
