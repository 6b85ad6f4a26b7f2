"""A stand-in for the OIDC issuers that Fulcio knows: it mints tokens of the shape of GitHub Actions', GitLab's and an e-mail login's.

The issuers' own names are served, on loopback port 443, so what Fulcio writes into certificates is what it writes in production.
"""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import sys
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
MAIL = "https://accounts.google.com"
HOSTS = tuple(issuer.removeprefix("https://") for issuer in (GITHUB, GITLAB, MAIL))

KEY_ID = "1"
TOKEN_LIFETIME = 3600


class Issuer:
    """Mints tokens with the key in `folder`."""

    def __init__(self, folder: Path):
        self.key = (folder / "oidc.key").read_text()

    def github(
        self, repository: str, workflow="release.yml", ref="refs/heads/main", event="push", *, called=None, runner="github-hosted"
    ) -> str:
        """A token as GitHub Actions gives it to a run of `workflow` in `repository` on `ref`.

        `called` is the reusable workflow whose job it is (`shared/ci/.github/workflows/build.yml@refs/tags/v1`), if not that one.
        """
        commit = "8f4a" + "0" * 36
        workflow_ref = f"{repository}/.github/workflows/{workflow}@{ref}"
        return self._sign(
            iss=GITHUB,
            sub=f"repo:{repository}:ref:{ref}",
            event_name=event,
            sha=commit,
            workflow="release",
            repository=repository,
            repository_id="1001",
            repository_owner=repository.split("/")[0],
            repository_owner_id="77",
            repository_visibility="public",
            ref=ref,
            job_workflow_ref=called or workflow_ref,
            job_workflow_sha=commit,
            workflow_ref=workflow_ref,
            workflow_sha=commit,
            runner_environment=runner,
            run_id="42",
            run_attempt="1",
            environment="",
        )

    def gitlab(self, project: str, ref="refs/heads/main") -> str:
        """A token as GitLab CI gives it to a job of `project` on `ref`."""
        commit = "c0ffee" + "0" * 34
        branch = ref.rsplit("/", 1)[-1]
        return self._sign(
            iss=GITLAB,
            sub=f"project_path:{project}:ref_type:branch:ref:{branch}",
            namespace_id="9",
            namespace_path=project.split("/")[0],
            project_id="90",
            project_path=project,
            project_visibility="private",
            user_id="5",
            user_login="ci",
            user_email="ci@example.test",
            pipeline_id="700",
            pipeline_source="push",
            job_id="7001",
            ref=branch,
            ref_type="branch",
            ref_path=ref,
            ref_protected="true",
            runner_id=1,
            runner_environment="gitlab-hosted",
            sha=commit,
            ci_config_ref_uri=f"gitlab.com/{project}//.gitlab-ci.yml@{ref}",
            ci_config_sha=commit,
        )

    def mail(self, address: str) -> str:
        """A token of a person who logged in by e-mail."""
        return self._sign(iss=MAIL, sub="1", email=address, email_verified=True)

    def _sign(self, **claims) -> str:
        now = int(time.time())
        claims.update(aud="sigstore", iat=now, nbf=now - 5, exp=now + TOKEN_LIFETIME)
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": KEY_ID})


def serve(folder: Path) -> None:
    """Serves the discovery document and the keys of every issuer on 127.0.0.1:443."""
    public = load_pem_private_key((folder / "oidc.key").read_bytes(), None).public_key().public_numbers()
    keys = {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": _base64(public.n), "e": _base64(public.e)}]}

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            issuer = "https://" + self.headers["Host"]
            if self.path == "/keys":
                self.answer(keys)
            elif self.path == "/.well-known/openid-configuration":
                self.answer(
                    {
                        "issuer": issuer,
                        "jwks_uri": issuer + "/keys",
                        "authorization_endpoint": issuer + "/auth",
                        "token_endpoint": issuer + "/token",
                        "id_token_signing_alg_values_supported": ["RS256"],
                        "response_types_supported": ["id_token"],
                        "subject_types_supported": ["public"],
                    }
                )
            else:
                self.send_error(404)

        def answer(self, document):
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "oidc-tls.pem", folder / "oidc-tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def _base64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
