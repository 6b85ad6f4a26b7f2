"""An upstream that counts: nginx with images as static files under the paths a registry would have, and a log of what it was asked."""

from __future__ import annotations

import os
from pathlib import Path

import oci

from . import MIB
from .content import Content
from .context import LARGE_HOST, Context, Server

# What a registry's root answers, and the type of a manifest, by which its bytes are told from a blob's.
REGISTRY = (
    "root @/html; access_log @/requests.log counted; location = /v2/ { return 200; }"
    f"location ~ /manifests/ {{ default_type {oci.MANIFEST}; }}"
)
COUNTED = 'sendfile on; log_format counted "$request_method $uri $status $body_bytes_sent";'


class Origin:
    """Images of one large layer, `load/image-N`, with the bytes of each layer in a file."""

    def __init__(self, context: Context, name: str):
        self.content = Content(context.folder(f"{name}-layout"))
        self.server = context.nginx(name, COUNTED, REGISTRY)
        self.folder = context.work / name

    def add(self, number: int, size=64 * MIB) -> Image:
        repository = f"load/image-{number}"
        manifest, (layer,) = self.content.add(repository, [size])
        config = oci.json.loads(self.content.read(manifest))["config"]["digest"]
        for kind, digest in (("manifests", manifest), ("blobs", config), ("blobs", layer)):
            target = self.folder / f"html/v2/{repository}/{kind}/{digest}"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.file(digest), target)
        return Image(repository, manifest, layer, self.file(layer))

    def file(self, digest: str) -> Path:
        return self.content.folder / "blobs/sha256" / digest.removeprefix("sha256:")

    def requests(self, image: Image, method="GET") -> int:
        """How often the layer was asked for so far."""
        wanted = f"{method} /v2/{image.repository}/blobs/{image.layer} "
        return (self.folder / "requests.log").read_text().count(wanted)


class Image:
    """An image at an origin; `file` has its layer's bytes."""

    def __init__(self, repository: str, manifest: str, layer: str, file: Path):
        self.repository, self.manifest, self.layer, self.file = repository, manifest, layer, file

    def path(self, server: Server, kind="blobs") -> str:
        """Where a server has the layer (or, with `manifests`, the manifest): at the gate the upstream is named."""
        named = f"{LARGE_HOST}/" if server.name.startswith("pullgate") else ""
        return f"/v2/{named}{self.repository}/{kind}/{self.layer if kind == 'blobs' else self.manifest}"


def proxy_cache(context: Context, name: str, upstream: Server, more="") -> Server:
    """nginx as a cache in front of an upstream: one request for what many ask for, large buffers, connections kept."""
    http = (
        "sendfile on; proxy_cache_path @/cache levels=1:2 keys_zone=blobs:10m max_size=20g inactive=1d use_temp_path=off;"
        f"upstream origin {{ server 127.0.0.1:{upstream.port}; keepalive 32; }}"
    )
    location = (
        "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffers 16 256k;"
        "proxy_buffer_size 256k; proxy_busy_buffers_size 1m; proxy_cache blobs; proxy_cache_valid 200 206 1d;"
        f"proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_cache_lock_age 60s; {more}"
    )
    return context.nginx(name, http, f"location / {{ {location} }}")
