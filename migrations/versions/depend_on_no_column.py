"""Triggers on the product's tables depend on no column of theirs: their conditions are in their functions.

With a condition in the definition of a trigger (`WHEN`), PostgreSQL refuses to change the type of each column
that it names, and so the product's own migrations. The functions do the same as before. New databases have
had this form from the beginning, so downgrading changes nothing.
"""

from alembic import op

from migrations.versions.replace_in_place import BEFORE_TASK, KEEP_VERSION
from migrations.versions.stand_aside_for_the_product import AFTER_TUTORIAL

revision = "0021"
down_revision = "0020"

TRIGGERS = (
    ("content_after_tutorial", "tutorial_metadata", AFTER_TUTORIAL),
    ("content_keep_version", "tutorial_metadata", KEEP_VERSION),
    ("content_before_task", "roadmap_tasks", BEFORE_TASK),
)


def upgrade() -> None:
    for name, table, created in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
        op.execute(created)


def downgrade() -> None:
    """Change nothing."""
