"""Save generated learning content, record failures, and retry missing items.

    from roadmap_content import Client

The client needs pydantic only; everything else is an extra (docs/integrating.md).
"""

import gc
import os
from typing import TYPE_CHECKING

from .contracts.errors import (
    ContentError,
    InvalidContentError,
    InvalidRequestError,
    MissingExtraError,
    MissingSettingError,
    RoadmapNotFoundError,
    StorageUnavailableError,
)
from .contracts.items import ContentType

if TYPE_CHECKING:
    from .client.client import Client
    from .client.http import ApiRefusedError, ApiUnavailableError

# Imported modules are never freed, and parsed JSON has no reference cycles. With CPython's default
# thresholds, the garbage collector takes a large part of a cold start and of reading a large framework.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.set_threshold(100_000, 20, 100)

__version__ = "0.1.0"

__all__ = [
    "ApiRefusedError",
    "ApiUnavailableError",
    "Client",
    "ContentError",
    "ContentType",
    "InvalidContentError",
    "InvalidRequestError",
    "MissingExtraError",
    "MissingSettingError",
    "RoadmapNotFoundError",
    "StorageUnavailableError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import the client on first use: the functions do not need it."""
    if name not in ("ApiRefusedError", "ApiUnavailableError", "Client"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .client import client

    return getattr(client, name)
