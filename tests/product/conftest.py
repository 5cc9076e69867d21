"""Fixtures: a database of the product, before and after adoption."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from local_stack.postgres_server import Server
from migrations import migrate
from tests.product.product import Product
from tests.support.databases import ReusedDatabase, copied_database
from tests.support.engines import shared_engine
from tests.support.fixtures import bucket_name
from tests.support.pipeline import Pipeline, services_for
from tests.support.product_schema import FORMS

__all__ = ["bucket_name"]


@pytest.fixture
def form(request: pytest.FixtureRequest) -> str:
    """The variant of the product's schema: the present one, unless a test asks for `EVERY_FORM`."""
    return str(getattr(request, "param", "create_all"))


@pytest.fixture
def product(database_server: Server, form: str) -> Iterator[Product]:
    """The product on its own database, before the adoption."""
    with copied_database(database_server.url) as (_, url):
        product = Product(url)
        product.install(FORMS[form])
        yield product


@pytest.fixture(scope="session")
def adopted_databases(database_server: Server) -> Iterator[Mapping[str, ReusedDatabase]]:
    """For each variant, the product's empty database after adoption."""
    with ExitStack() as kept:
        templates = {}
        for form in FORMS:
            name, url = kept.enter_context(copied_database(database_server.url))
            product = Product(url)
            product.install(FORMS[form])
            product.engine.dispose()  # only a database without sessions can be copied
            migrate(url)
            templates[form] = ReusedDatabase(database_server.url, name)
            kept.callback(templates[form].drop)
        yield templates


@pytest.fixture
def adopted(adopted_databases: Mapping[str, ReusedDatabase], form: str) -> Iterator[Product]:
    """The product's empty database after adoption."""
    yield Product(adopted_databases[form].url)
    adopted_databases[form].clear()


@pytest.fixture
def pipeline(adopted: Product, bucket_name: str) -> Pipeline:
    """Our steps on the product's database."""
    services = services_for(adopted.url)
    services.engine = services.reading_engine = shared_engine(adopted.url)
    return Pipeline(services)
