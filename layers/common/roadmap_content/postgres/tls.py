"""Whom a verified connection trusts: the public authorities, and those of `certificates/`.

Amazon RDS signs with authorities of its own, which no system trusts by itself. RDS Proxy does not: its
certificates are public ones.
"""

import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parent / "certificates"
"""PEM files of authorities, deployed with the layer."""


def verifying_context(certificates: Path = CERTIFICATES) -> ssl.SSLContext:
    """A context that verifies the server's certificate and name."""
    context = ssl.create_default_context()
    for authorities in sorted(certificates.glob("*.pem")):
        context.load_verify_locations(authorities)
    return context
