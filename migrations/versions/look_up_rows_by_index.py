"""Makes the triggers of the content tables look up rows by index, whatever the size of a table.

A session keeps the plan of a statement in a trigger. A plan that was made while a table was empty reads the
whole table, and is kept until the table is analyzed: the time of a batch grew with the rows of all earlier
ones. Downgrading removes the setting.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

FUNCTIONS = (
    "content_before_tutorial()",
    "content_after_tutorial()",
    "content_before_resources()",
    "content_before_quiz()",
)


def upgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} SET enable_seqscan = off")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} RESET enable_seqscan")
