"""The certificate authorities that a verified connection trusts: the public ones, and those in
`certificates/`.

Amazon RDS uses its own authorities, which are in no system trust store. RDS Proxy uses public certificates.
"""

import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parent / "certificates"
"""The PEM files of authorities, deployed with the layer."""


def verifying_context(certificates: Path = CERTIFICATES) -> ssl.SSLContext:
    """A context that verifies the server's certificate and name."""
    context = ssl.create_default_context()
    for authorities in sorted(certificates.glob("*.pem")):
        context.load_verify_locations(authorities)
    return context
