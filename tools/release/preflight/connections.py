"""The connections of the functions against those that the database has for them."""

from collections.abc import Iterator, Mapping

from ..clients import Clients
from ..connections import holders
from .problem import Problem, Target


def check(_: Clients, target: Target) -> Iterator[Problem]:
    """Compare, if `DatabaseConnections` is given. `max_connections` can only be read inside the VPC."""
    given = int(target.parameters["DatabaseConnections"])
    found = holders(target.parameters)
    if not given:
        return
    if unlimited := [holder.function for holder in found if not holder.at_once]:
        yield Problem(
            f"nothing limits the connections of {', '.join(unlimited)}, and DatabaseConnections is {given}",
            "give SaverConcurrency, GeneratorConcurrency, RunConcurrency and ApiConcurrency numbers above 0",
        )
    elif (most := sum(holder.connections for holder in found)) > given:
        yield Problem(
            f"the functions open up to {most} connections ({describe(target.parameters)}), and "
            f"DatabaseConnections is {given}",
            "lower the reservations, or raise max_connections",
        )


def describe(parameters: Mapping[str, str]) -> str:
    """The connections that the functions hold at most, by function."""
    found = holders(parameters)
    if not all(holder.at_once for holder in found):
        return "as many as Lambda's concurrency: a function without a reservation has no limit of its own"
    each = ", ".join(f"{holder.function.removesuffix('Function')} {holder.connections}" for holder in found)
    return f"at most {sum(holder.connections for holder in found)}: {each}"
