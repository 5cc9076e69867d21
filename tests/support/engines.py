"""Engines that the tests of a process share, one after the other.

Connecting costs 8 ms, and a new engine asks the server for its version and compiles each statement again.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import QueuePool

from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.state.visibility import GUARD

SHARED = "shared by tests"
"""The application name of the sessions that outlive a test."""

_MOST = 8
"""Engines that are kept: three for each database that is in use."""

_kept: dict[tuple[str, str], Engine] = {}


def shared_engine(url: str) -> Engine:
    """An engine of this system: with one connection, as in a function."""
    credentials = Credentials.from_url(make_url(url))
    return _shared("system", url, lambda: open_engine(lambda: credentials, tls=False, first=GUARD))


def shared_product_engine(url: str) -> Engine:
    return _shared("product", url, lambda: create_engine(url, pool_pre_ping=True))


def _shared(owner: str, url: str, opened: Callable[[], Engine]) -> Engine:
    """An engine with listeners of its own, on a pool that is kept."""
    engine = _kept.pop((owner, url), None)
    if engine is None or _is_in_use(engine):
        engine = opened()
        event.listen(engine, "connect", _name)
    _kept[owner, url] = engine
    if len(_kept) > _MOST:
        _kept.pop(next(iter(_kept))).dispose()
    return engine.execution_options()


def _is_in_use(engine: Engine) -> bool:
    """Whether a test has left work behind."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout() > 0


def _name(connection: Any, _record: object) -> None:
    connection.cursor().execute(f"SET application_name = '{SHARED}'")
    connection.commit()
