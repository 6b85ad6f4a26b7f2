"""Keys and certificates for the tests: a certificate authority for TLS, and what the private Sigstore is made of."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = datetime.timedelta(days=3650)


def write_key(key, path: Path, password: str | None = None) -> None:
    """Writes `key` as PKCS #8 PEM, and its public half beside it as `.pub`."""
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    path.chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


class Authority:
    """A self-signed certificate authority."""

    def __init__(self, name: str, path_length: int | None = 0):
        self.key = ec_key()
        self.certificate = self._build(name, self.key.public_key(), None, is_ca=True, path_length=path_length)

    def server(self, *names: str):
        """A TLS server's key and certificate for `names`, which are host names or IP addresses."""
        key = ec_key()
        alternatives = x509.SubjectAlternativeName([_general_name(n) for n in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return key, self._build(names[0], key.public_key(), self.certificate, extensions=[(alternatives, False), (usage, False)])

    def timestamping(self, name: str):
        """A timestamp authority's key and certificate (RFC 3161: the usage is critical and the only one)."""
        key = ec_key()
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return key, self._build(name, key.public_key(), self.certificate, extensions=[(usage, True)])

    def _build(self, name, public_key, issuer, *, is_ca=False, path_length=None, extensions=()):
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "pullgate-test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + VALID_FOR)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
            .add_extension(_key_usage(is_ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
