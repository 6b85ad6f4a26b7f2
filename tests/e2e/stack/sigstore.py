"""A private Sigstore on loopback: real Fulcio (file CA), Rekor v2 and timestamp authority; OIDC and CT log are stand-ins that sign for real.

Rekor v1 (`rekor1`), wanted only for signatures in cosign's older format, is added when its folder is given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pki  # noqa: E402
from processes import Servers, run, tool  # noqa: E402
from stack import oidc  # noqa: E402

REKOR_HOST = "rekor.pullgate.test"
HOSTS = (*oidc.HOSTS, REKOR_HOST)
START = "2026-01-01T00:00:00Z"
OPERATOR = "pullgate.test"
FULCIO_PASSWORD = "fulcio"

CTLOG = ("127.0.0.1", 6962)
FULCIO = ("127.0.0.1", 5555)
REKOR = ("127.0.0.1", 3003)
TSA = ("127.0.0.1", 3004)
REKOR1_URL = "http://127.0.0.1:3005"
FULCIO_URL = "http://127.0.0.1:5555"
REKOR_URL = f"http://{REKOR_HOST}:3003"
TSA_URL = "http://127.0.0.1:3004/api/v1/timestamp"


class Sigstore:
    """The stack in `folder`: `trusted_root` and `signing_config` are what cosign and the gate are given."""

    def __init__(self, folder: Path, servers: Servers, rekor1: Path | None = None):
        self.folder = folder
        self.rekor1 = rekor1
        self.trusted_root = folder / "trusted_root.json"
        self.signing_config = folder / "signing_config.json"
        folder.mkdir(parents=True, exist_ok=True)
        self._make_keys()
        (folder / "fulcio.yaml").write_text(self._fulcio_config())
        self._start(servers)
        self._describe()
        self.issuer = oidc.Issuer(folder)

    def sign(self, image: str, token: str, *, env=None, older=False) -> None:
        """`cosign sign`: a bundle as a referrer, or with `older` simple signing under the `.sig` tag."""
        run(tool("cosign"), "sign", "--yes", "--identity-token", token, *self._how(older), image, env=env)

    def attest(self, image: str, token: str, kind: str, predicate: Path, *, env=None, older=False) -> None:
        """`cosign attest` with the predicate in a file: a bundle as a referrer, or with `older` under the `.att` tag."""
        run(
            tool("cosign"), "attest", "--yes", "--identity-token", token, *self._how(older),
            "--type", kind, "--predicate", predicate, image, env=env,
        )  # fmt: skip

    def _how(self, older: bool) -> list[str]:
        if older:
            return [
                "--new-bundle-format=false", "--use-signing-config=false", "--trusted-root", str(self.trusted_root),
                "--rekor-url", REKOR1_URL, "--fulcio-url", FULCIO_URL,
            ]  # fmt: skip
        return ["--signing-config", str(self.signing_config), "--trusted-root", str(self.trusted_root)]

    def _make_keys(self) -> None:
        def write(name: str, key, *chain, password=None):
            pki.write_key(key, self.folder / f"{name}.key", password)
            if chain:
                (self.folder / f"{name}.pem").write_bytes(pki.pem(*chain))

        write("ctlog", pki.ec_key())
        write("rekor", pki.ed25519_key())
        write("oidc", pki.rsa_key())
        fulcio = pki.Authority("pullgate-test-fulcio", path_length=1)
        write("fulcio", fulcio.key, fulcio.certificate, password=FULCIO_PASSWORD)
        tsa = pki.Authority("pullgate-test-tsa-root")
        key, leaf = tsa.timestamping("pullgate-test-tsa")
        write("tsa", key, leaf, tsa.certificate)
        tls = pki.Authority("pullgate-test-oidc")
        write("oidc-tls", *tls.server(*oidc.HOSTS))
        (self.folder / "oidc-ca.pem").write_bytes(pki.pem(tls.certificate))

    def _start(self, servers: Servers) -> None:
        d = self.folder
        env = dict(os.environ, SSL_CERT_FILE=str(d / "oidc-ca.pem"))
        servers.start("oidc", sys.executable, HERE / "oidc.py", d, ready=("127.0.0.1", 443))
        servers.start(
            "ctlog", tool("ctlog"), "-listen", f"{CTLOG[0]}:{CTLOG[1]}", "-key", d / "ctlog.key", "-roots", d / "fulcio.pem", ready=CTLOG
        )
        servers.start(
            "fulcio", tool("fulcio"), "serve", "--host=127.0.0.1", "--port=5555", "--grpc-host=127.0.0.1", "--grpc-port=5554",
            "--metrics-port=2113", f"--legacy-unix-domain-socket={d}/fulcio.sock", "--ca=fileca", f"--fileca-cert={d}/fulcio.pem",
            f"--fileca-key={d}/fulcio.key", f"--fileca-key-passwd={FULCIO_PASSWORD}", "--ct-log-url=http://127.0.0.1:6962",
            f"--ct-log-public-key-path={d}/ctlog.pub", f"--config-path={d}/fulcio.yaml", ready=FULCIO, env=env,
        )  # fmt: skip
        servers.start(
            "rekor", tool("rekor-posix"), "serve", "--http-address=127.0.0.1", "--http-port=3003", "--grpc-address=127.0.0.1",
            "--grpc-port=3001", "--http-metrics-port=2114", f"--hostname={REKOR_HOST}", f"--storage-dir={d}/rekor-log",
            f"--signer-filepath={d}/rekor.key", "--checkpoint-interval=1s", ready=REKOR,
        )  # fmt: skip
        servers.start(
            "tsa", tool("timestamp-server"), "serve", "--host=127.0.0.1", "--port=3004", "--timestamp-signer=file",
            f"--file-signer-key-path={d}/tsa.key", "--file-signer-passwd=", f"--certificate-chain-path={d}/tsa.pem",
            "--disable-ntp-monitoring", ready=TSA,
        )  # fmt: skip

    def _describe(self) -> None:
        """Writes the trust root and the signing configuration, by cosign's own commands."""
        d = self.folder
        older = []
        if self.rekor1:
            older = ["--rekor", f"url={REKOR1_URL},public-key={self.rekor1}/rekor1.pub,start-time={START}"]
        run(
            tool("cosign"), "trusted-root", "create", *older,
            "--fulcio", f"url={FULCIO_URL},certificate-chain={d}/fulcio.pem,start-time={START}",
            "--rekor", f"url={REKOR_URL},public-key={d}/rekor.pub,start-time={START},origin={REKOR_HOST}",
            "--ctfe", f"url=http://127.0.0.1:6962,public-key={d}/ctlog.pub,start-time={START}",
            "--tsa", f"url={TSA_URL},certificate-chain={d}/tsa.pem,start-time={START}",
            "--out", self.trusted_root,
        )  # fmt: skip
        run(
            tool("cosign"), "signing-config", "create",
            "--fulcio", f"url={FULCIO_URL},api-version=1,start-time={START},operator={OPERATOR}",
            "--rekor", f"url={REKOR_URL},api-version=2,start-time={START},operator={OPERATOR}", "--rekor-config", "ANY",
            "--tsa", f"url={TSA_URL},api-version=1,start-time={START},operator={OPERATOR}", "--tsa-config", "ANY",
            "--out", self.signing_config,
        )  # fmt: skip

    def _fulcio_config(self) -> str:
        """Fulcio's configuration, with the issuers' templates as the public instance has them."""
        authority = "".join(f"      {line}\n" for line in (self.folder / "oidc-ca.pem").read_text().splitlines())

        def issuer(url: str, kind: str) -> str:
            return f"  {url}:\n    issuer-url: {url}\n    client-id: sigstore\n{kind}    ca-cert: |\n{authority}"

        return (
            "oidc-issuers:\n"
            + issuer(oidc.GITHUB, "    type: ci-provider\n    ci-provider: github-workflow\n")
            + issuer(oidc.GITLAB, "    type: ci-provider\n    ci-provider: gitlab-pipeline\n")
            + issuer(oidc.MAIL, "    type: email\n")
            + (HERE / "ci-issuers.yaml").read_text()
        )
