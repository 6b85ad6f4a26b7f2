"""An image made on the spot and signed by real cosign: a private Sigstore runs for a moment, in namespaces of its own (needs root).

As a program: signed.py OUT REPOSITORY SIZE... (bytes of each layer), started by `signed_image` inside `tests/e2e/isolated`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import ROOT  # noqa: E402

sys.path.append(str(ROOT / "tests/fixtures/record"))

import oci  # noqa: E402
from bench.content import Content  # noqa: E402
from processes import Servers, run, tool  # noqa: E402

REGISTRY = "127.0.0.1:5000"


@dataclass
class Signed:
    """An image with its evidence in a layout, and the trust root that proves it."""

    layout: oci.Layout
    trust_root: Path
    digest: str


def signed_image(folder: Path, repository: str, sizes: list[int]) -> Signed:
    """Makes, signs and attests (SPDX) an image as the release workflow that `Context.signed_policy` names would."""
    from stack import sigstore

    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(sigstore.HOSTS)}\n")
    run(ROOT / "tests/e2e/isolated", hosts, "/usr/bin/python3", __file__, folder, repository, *sizes)
    layout = oci.Layout(folder / "signed")
    return Signed(layout, folder / "trusted_root.json", layout.find(repository, "v1")["digest"])


def main(out: Path, repository: str, sizes: list[int]) -> None:
    import predicates
    from stack.sigstore import Sigstore

    servers = Servers(out / "logs")
    stack = Sigstore(out / "sigstore", servers)
    config = out / "distribution.yaml"
    storage = {"filesystem": {"rootdirectory": str(out / "distribution")}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": REGISTRY}}))
    environment = dict(os.environ, OTEL_TRACES_EXPORTER="none", HOME=str(out))
    servers.start("registry", tool("registry"), "serve", config, ready=("127.0.0.1", 5000), env=environment)
    registry = oci.Registry(f"http://{REGISTRY}")
    content = Content(out / "made")
    digest, _ = content.add(repository, sizes)
    content.push_to(registry, referrers_tags=True)
    image, predicate = f"{REGISTRY}/{repository}@{digest}", out / "predicate.json"
    owner, _, name = repository.partition("/")
    predicate.write_text(json.dumps(predicates.spdx(owner, name)))
    stack.sign(image, stack.issuer.github("acme/app"), env=environment)
    stack.attest(image, stack.issuer.github("acme/app"), "spdxjson", predicate, env=environment)
    signed = oci.Layout(out / "signed")
    signed.create()
    entries = [
        {**signed.take(registry, repository, tag), "annotations": {oci.REF_NAME: f"{repository}:{tag}"}}
        for tag in registry.tags(repository)
    ]
    signed.write_index(entries)
    (out / "trusted_root.json").write_bytes(stack.trusted_root.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [int(size) for size in sys.argv[3:]])
