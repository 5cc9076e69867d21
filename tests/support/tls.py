"""A TCP server for tests, and certificates for it."""

import socket
import socketserver
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def serve(address: tuple[str, int], handle: Callable[[socket.socket], None]) -> socketserver.TCPServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True  # an earlier server's connections may still hold the port

        def handle_error(self, *_: Any) -> None:
            """A client may close its connection at any time."""

    server = Server(address, Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def server_context(name: str, directory: Path, *, self_signed: bool = False) -> tuple[ssl.SSLContext, bytes]:
    """A server's context with a certificate for `name`, and the certificate of its authority, or its own."""
    key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("authority", authority_key, authority_key, "authority", authority=True)
    own = certificate(name, key, authority_key, "authority", authority=False)
    if self_signed:
        authority = own = certificate(name, key, key, name, authority=False)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "own.pem").write_bytes(pem + own.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "own.pem")
    return context, authority.public_bytes(serialization.Encoding.PEM)


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    authority: bool,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    # Python 3.13 checks certificates strictly by RFC 5280: they need key identifiers and key usages.
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_identifier, critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **usage), critical=True
        )
        .sign(issuer_key, hashes.SHA256())
    )
