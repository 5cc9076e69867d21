"""The product and this system work on the same roadmaps at the same time: the storm, until it is enough."""

from local_stack.postgres_server import Server
from tests.product.operations import OPERATIONS
from tests.product.storm import Storm, play
from tests.support.databases import copied_database

RUNS = 4


def is_enough(storm: Storm) -> bool:
    return storm.performed == OPERATIONS.keys() and storm.counts["runs"] >= RUNS


def test_no_operation_of_the_product_fails_and_the_invariants_hold(database_server: Server) -> None:
    with copied_database(database_server.url) as (_, url):
        assert play(url, 12, is_enough) == []
