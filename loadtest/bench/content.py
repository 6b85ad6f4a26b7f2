"""Images made on the spot, in an OCI layout. Nobody signs them: what is measured with them is the way of the bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import oci

from . import MIB


class Content(oci.Layout):
    """A layout that images are added to."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.create()

    def add(self, repository: str, sizes: list[int], tag="v1") -> tuple[str, list[str]]:
        """Adds an image with a random layer of each size (bytes); returns the manifest's digest and the layers'."""
        layers = [self._layer(size) for size in sizes]
        platform = {"architecture": "amd64", "os": "linux"}
        config = oci.encode({**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": layers}})
        self.write(config)
        described = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": name, "size": size}
            for name, size in zip(layers, sizes, strict=True)
        ]
        kind = "application/vnd.oci.image.config.v1+json"
        document = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "config": oci.described(kind, config), "layers": described}
        manifest = oci.encode(document)
        self.write(manifest)
        entry = oci.described(oci.MANIFEST, manifest, annotations={oci.REF_NAME: f"{repository}:{tag}"})
        self.write_index([*self.entries(), entry])
        return entry["digest"], layers

    def _layer(self, size: int) -> str:
        blobs = self.folder / "blobs/sha256"
        staged = blobs / "staged"
        hasher = hashlib.sha256()
        with staged.open("wb") as file:
            left = size
            while left:
                piece = os.urandom(min(left, MIB))
                hasher.update(piece)
                file.write(piece)
                left -= len(piece)
        staged.rename(blobs / hasher.hexdigest())
        return "sha256:" + hasher.hexdigest()
