"""The API of erasure."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from ...api.http import Api, answered
from ...api.parameters import Exact, exact_id
from ...contracts.erasure import ErasureAnswer, ReplayAnswer
from .erase import Erasure, due_erasures, erase_user, preview_erasure


def add_erasure_routes(api: Api) -> None:
    """Add the operations of erasure to a function's API."""
    app = api.app

    @app.delete(
        "/api/v1/users/<user_id>/content",
        operation_id="erase_user",
        tags=["erasure"],
        summary="Erase a user's data, or preview it",
        responses=answered(ErasureAnswer, "A part of the erasure or of the preview", 409, 422, 503),
    )
    def delete_content(
        user_id: Annotated[str, Path(description="The user; `-` for `exact`.")],
        exact: Exact = None,
        dry_run: Annotated[bool, Query(description="Only count what would be removed.")] = False,
        product_rows: Annotated[
            bool, Query(description="Delete the product's rows, and the texts that they name, too.")
        ] = False,
        after: Annotated[str | None, Query(description="`after` of the previous answer.")] = None,
        replay: Annotated[
            str | None,
            Query(
                max_length=64, description="An erasure to apply again, to what is older; not with `dry_run`."
            ),
        ] = None,
    ) -> ErasureAnswer:
        """Erase everything of this system that names a user or holds their content.

        Requires the operator's scope. Each request does a part: repeat it with `after` until `complete`, and
        after `waits_until` without it.
        """
        caller = api.caller
        caller.require_operator()
        user = exact_id(user_id, exact)
        request = Erasure(user, caller.actor, product_rows, after, replay)
        return (preview_erasure if dry_run else erase_user)(api.services, request, api.deadline)

    @app.post(
        "/api/v1/erasures/due",
        operation_id="list_due_erasures",
        tags=["erasure"],
        summary="List the erasures to apply again",
        responses=answered(ReplayAnswer, "The users of whom the database has rows again", 503),
    )
    def post_due() -> ReplayAnswer:
        """After the restore of a backup: unite the register in the database with the one in the bucket, and
        return the erasures to apply again, each with `replay`. Requires the operator's scope.
        """
        api.caller.require_operator()
        return due_erasures(api.services, api.deadline)
