"""Adds the changes of the states of failure groups. Downgrading removes them: every group is new again."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_group_changes (
            change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            group_id varchar(32) NOT NULL,
            changed_at timestamp NOT NULL DEFAULT timezone('utc', now()),
            actor text NOT NULL,
            state varchar(16) NOT NULL,
            note text NOT NULL,
            until timestamp,
            until_tasks bigint
        );
        CREATE INDEX content_group_change_by_group ON content_group_changes (group_id, change_id)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE content_group_changes")
