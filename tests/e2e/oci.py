"""Small OCI things: digests, a registry client that pushes and reads, OCI layouts, and images made on the spot."""

from __future__ import annotations

import hashlib
import io
import json
import re
import ssl
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

REF_NAME = "org.opencontainers.image.ref.name"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(document) -> bytes:
    """JSON as these tests write it; what is read is never written again."""
    return json.dumps(document, separators=(",", ":")).encode()


def described(media_type: str, data: bytes, **more) -> dict:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


@dataclass
class Image:
    """An image made on the spot: its manifest and every blob it lists."""

    media_type: str
    manifest: bytes
    blobs: list[bytes]

    @property
    def digest(self) -> str:
        return digest(self.manifest)


def image(text: str, architecture="amd64", docker=False) -> Image:
    """An image of one layer with one file, `hello.txt`, that holds `text`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
    layer = buffer.getvalue()
    return image_of_layer(layer, architecture, docker)


def image_of_layer(layer: bytes, architecture="amd64", docker=False) -> Image:
    config = encode({"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}})
    if docker:
        kinds = (
            DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar",
        )
    else:
        kinds = (MANIFEST, "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    manifest = {
        "schemaVersion": 2,
        "mediaType": kinds[0],
        "config": described(kinds[1], config),
        "layers": [described(kinds[2], layer)],
    }
    return Image(kinds[0], encode(manifest), [config, layer])


def index(children: list[tuple[Image, str]]) -> Image:
    """An index of `(image, architecture)`; its blobs are not the children's, which are pushed for themselves."""
    manifests = [
        described(child.media_type, child.manifest, platform={"architecture": architecture, "os": "linux"})
        for child, architecture in children
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return Image(INDEX, encode(document), [])


class Registry:
    """A registry's API at `base` (`https://registry.acme.test`), trusted by the authority in `ca`."""

    def __init__(self, base: str, ca: Path | None = None):
        self.base = base
        self.context = ssl.create_default_context(cafile=str(ca)) if ca else None

    def request(self, method: str, path: str, data=None, **headers):
        url = path if "://" in path else f"{self.base}/v2/{path}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return urllib.request.urlopen(
            urllib.request.Request(url, data=data, method=method, headers=headers), context=self.context, timeout=60
        )

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest's bytes and media type."""
        with self.request("GET", f"{repository}/manifests/{reference}", Accept=", ".join(MANIFEST_TYPES)) as response:
            return response.read(), response.headers["Content-Type"]

    def blob(self, repository: str, name: str) -> bytes:
        with self.request("GET", f"{repository}/blobs/{name}") as response:
            return response.read()

    def tags(self, repository: str) -> list[str]:
        with self.request("GET", f"{repository}/tags/list") as response:
            return json.load(response)["tags"] or []

    def has_referrers_api(self, repository: str, subject: str) -> bool:
        try:
            with self.request("GET", f"{repository}/referrers/{subject}") as response:
                return response.headers["Content-Type"] == INDEX
        except urllib.error.HTTPError:
            return False

    def push_blob(self, repository: str, data: bytes) -> None:
        with self.request("POST", f"{repository}/blobs/uploads/", b"") as response:
            location = response.headers["Location"]
        if location.startswith("/"):
            location = self.base + location
        location += ("&" if "?" in location else "?") + "digest=" + digest(data)
        self.request("PUT", location, data, Content_Type="application/octet-stream").close()

    def push_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        self.request("PUT", f"{repository}/manifests/{reference}", data, Content_Type=media_type).close()

    def push(self, repository: str, reference: str, made: Image) -> str:
        """Pushes an image and returns its digest."""
        for blob in made.blobs:
            self.push_blob(repository, blob)
        self.push_manifest(repository, reference, made.manifest, made.media_type)
        return made.digest


class Layout:
    """An OCI layout whose index names tags `repository:tag`, as the recorded fixtures are kept."""

    def __init__(self, folder: Path):
        self.folder = folder

    def entries(self) -> list[dict]:
        return json.loads((self.folder / "index.json").read_text())["manifests"]

    def read(self, name: str) -> bytes:
        algorithm, _, encoded = name.partition(":")
        return (self.folder / "blobs" / algorithm / encoded).read_bytes()

    def find(self, repository: str, tag: str) -> dict:
        return next(e for e in self.entries() if e["annotations"][REF_NAME] == f"{repository}:{tag}")

    def create(self) -> None:
        (self.folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.write_index([])

    def write(self, data: bytes) -> str:
        name = digest(data)
        (self.folder / "blobs/sha256" / name.removeprefix("sha256:")).write_bytes(data)
        return name

    def write_index(self, entries: list[dict]) -> None:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        (self.folder / "index.json").write_text(json.dumps(document, indent=1))

    def take(self, registry: Registry, repository: str, reference: str) -> dict:
        """Writes down a manifest of a registry and what it reaches; returns its descriptor."""
        data, media_type = registry.manifest(repository, reference)
        self.write(data)
        document = json.loads(data)
        for child in document.get("manifests") or []:
            self.take(registry, repository, child["digest"])
        for blob in ([document["config"]] if "config" in document else []) + (document.get("layers") or []):
            self.write(registry.blob(repository, blob["digest"]))
        return described(media_type, data)

    def push_to(self, registry: Registry, *, referrers_tags: bool) -> None:
        """Pushes every tag, and what each one reaches; without `referrers_tags` evidence is found by the referrers API or not at all."""
        pushed: set[tuple[str, str]] = set()
        for entry in self.entries():
            repository, tag = entry["annotations"][REF_NAME].rsplit(":", 1)
            if referrers_tags or not re.fullmatch("sha256-[0-9a-f]{64}", tag):
                self._push(registry, repository, entry["digest"], entry["mediaType"], tag, pushed)
            else:
                for child in json.loads(self.read(entry["digest"]))["manifests"]:
                    self._push(registry, repository, child["digest"], child["mediaType"], child["digest"], pushed)

    def _push(self, registry: Registry, repository: str, name: str, media_type: str, reference: str, pushed: set) -> None:
        data = self.read(name)
        document = json.loads(data)
        if (repository, name) not in pushed:
            pushed.add((repository, name))
            for child in document.get("manifests") or []:
                self._push(registry, repository, child["digest"], child["mediaType"], child["digest"], pushed)
            blobs = ([document["config"]] if "config" in document else []) + (document.get("layers") or [])
            for blob in blobs:
                if (repository, blob["digest"]) not in pushed:
                    pushed.add((repository, blob["digest"]))
                    registry.push_blob(repository, self.read(blob["digest"]))
        registry.push_manifest(repository, reference, data, media_type)
