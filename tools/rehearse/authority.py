"""A certificate authority made for one rehearsal, and the one certificate that it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Files in PEM.

    Attributes:
        roots: the authority's own certificate
        certificate: what servers show, the authority's behind it
        key: of that certificate
    """

    roots: Path
    certificate: Path
    key: Path


def create(folder: Path, names: list[str]) -> Authority:
    """Make an authority, and a certificate for 127.0.0.1 and these names."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate("Rehearsal", root_key, None, root_key)
    leaf = _certificate("127.0.0.1", key, names, root_key)
    made = Authority(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    made.roots.write_bytes(_pem(root))
    made.certificate.write_bytes(_pem(leaf) + _pem(root))
    made.key.touch(mode=0o600)
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, names: list[str] | None, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Sign a certificate: the authority's own without names, a server's with them.

    Python 3.13 verifies strictly: an authority without key usage, or a server without identifiers, is refused.
    """
    now = datetime.now(UTC)
    begun = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("Rehearsal"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(_usage(authority=names is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names is not None:
        shown = [x509.IPAddress(IPv4Address("127.0.0.1")), *map(x509.DNSName, names)]
        begun = begun.add_extension(x509.SubjectAlternativeName(shown), critical=False)
        begun = begun.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return begun.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
