"""The certificate authorities that a verified connection trusts: the public ones, and those in
`certificates/`.

Amazon RDS uses its own authorities, which are in no system trust store. RDS Proxy uses public certificates.
"""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

CERTIFICATES = Path(__file__).parent / "certificates"
"""The PEM files of authorities, deployed with the layer."""


def verifying_context(certificates: Path = CERTIFICATES) -> ssl.SSLContext:
    """A context that verifies the server's certificate and name."""
    context = ssl.create_default_context()
    for authorities in authorities_of(os.environ.get("AWS_REGION", ""), certificates):
        context.load_verify_locations(authorities)
    return context


def authorities_of(region: str, certificates: Path = CERTIFICATES) -> Iterator[Path]:
    """The PEM files that are trusted in a region: RDS's of this region only, and those of an operator."""
    if (of_rds := certificates / f"rds/{region}.pem").is_file():
        yield of_rds
    yield from sorted(certificates.glob("*.pem"))
