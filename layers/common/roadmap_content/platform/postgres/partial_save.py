"""Save a batch with invalid rows in parts, so that an invalid row does not affect the others.

The server does this with one statement. Bisection from the client took a savepoint and round trips per half:
about 130 round trips for ten invalid rows among a thousand.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from .sqlstate import SERVER_STATES, explain
from .transactions import DataRefusedError

# A DO block has no parameters and no result, so settings of the transaction pass both.
GIVE = text("SELECT set_config('roadmap_content.parts', :parts, true)")
TAKE = text("SELECT current_setting('roadmap_content.outcomes')")

# Guarantees: the writes of a part are rolled back if the server refuses the part, and kept otherwise; an
# error of the server or the connection ends the transaction. A statement returns its rows only after it
# has completed, including the checks of foreign keys.
SAVE_IN_PARTS = """
DO $save_in_parts$
DECLARE
    part record;
    refused record;
    constraint_name text;
    table_name text;
    outcomes json[] = '{}';
BEGIN
    -- What the product checks at the COMMIT is checked with its part.
    SET CONSTRAINTS ALL IMMEDIATE;
    -- One plan for all parts: planning takes longer than a part does.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    FOR part IN SELECT * FROM json_to_recordset(CAST(current_setting('roadmap_content.parts') AS json))
        AS p(number integer, roadmap_id text, rows text, documents text)
    LOOP
        BEGIN
            FOR refused IN <save_sql> LOOP
                outcomes = outcomes || json_build_object(
                    'concept_id', refused.concept_id, 'row_status', refused.row_status);
            END LOOP;
        EXCEPTION WHEN OTHERS OR assert_failure THEN -- OTHERS does not cover a failed ASSERT
            IF SQLSTATE ~ '<server_states>' THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS constraint_name = CONSTRAINT_NAME, table_name = TABLE_NAME;
            outcomes = outcomes || json_build_object('part', part.number, 'sqlstate', SQLSTATE,
                'constraint', constraint_name, 'table', table_name);
        END;
    END LOOP;
    PERFORM set_config('roadmap_content.outcomes', CAST(array_to_json(outcomes) AS text), true);
END $save_in_parts$
"""

_PARAMETER = re.compile(r"(?<!:):(\w+)")


class Outcome(NamedTuple):
    """The rows that were not saved."""

    unwritten: list[tuple[str, str]]
    """`(concept_id, row_status)` of each row that the save statement did not write."""

    refused: dict[int, DataRefusedError]
    """The indexes of the parts that the server refused."""


def save_in_parts(connection: Connection, save_sql: str, parts: Sequence[Mapping[str, str]]) -> Outcome:
    """Run `save_sql` with the parameters of each part."""
    numbered = [{"number": number, **parameters} for number, parameters in enumerate(parts)]
    connection.execute(GIVE, {"parts": json.dumps(numbered)})
    block = SAVE_IN_PARTS.replace("<server_states>", SERVER_STATES)
    connection.exec_driver_sql(block.replace("<save_sql>", _PARAMETER.sub(r"part.\1", save_sql)))
    outcomes = json.loads(connection.execute(TAKE).scalar_one())
    return Outcome(
        unwritten=[(one["concept_id"], one["row_status"]) for one in outcomes if "row_status" in one],
        refused={
            one["part"]: DataRefusedError(
                one["sqlstate"], explain(one["sqlstate"], one["constraint"], one["table"])
            )
            for one in outcomes
            if "sqlstate" in one
        },
    )
