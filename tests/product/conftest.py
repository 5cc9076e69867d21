"""Fixtures: a database of the product, before and after adoption."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from local_stack.postgres_server import Server, create_database, drop_database
from migrations import migrate
from tests.integration.conftest import bucket_name
from tests.product.product import Product
from tests.support.pipeline import Pipeline, services_for
from tests.support.product_schema import FORMS

__all__ = ["bucket_name"]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """The variant of the product's schema; override it if one variant is enough."""
    return str(request.param)


@pytest.fixture
def product(database_server: Server, form: str) -> Iterator[Product]:
    """The product on its own database, before the adoption."""
    name = f"product_{token_hex(8)}"
    url = create_database(database_server.url, name)
    found = Product(url)
    found.install(FORMS[form])
    yield found
    found.engine.dispose()
    drop_database(database_server.url, name)


@pytest.fixture
def adopted(product: Product) -> Product:
    """The product's empty database after adoption."""
    migrate(product.url)
    return product


@pytest.fixture
def pipeline(adopted: Product, bucket_name: str) -> Iterator[Pipeline]:
    """Our steps on the product's database."""
    services = services_for(adopted.url)
    yield Pipeline(services)
    services.engine.dispose()
