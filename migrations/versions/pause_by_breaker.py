"""Lets a breaker pause a recovery, which can be resumed, instead of stopping it.

`resumed_at` is the time of the last resume. Recoveries that a breaker had stopped become paused ones: the
tasks that were refused for it wait again. Downgrading stops them again.
"""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE content_recoveries ADD COLUMN resumed_at timestamp;

        UPDATE content_recovery_tasks SET result = 'waiting', reason = NULL, ended_at = NULL
        WHERE result = 'refused' AND reason = 'RecoveryStoppedByBreaker';

        UPDATE content_recoveries SET state = 'paused_by_breaker', ended_at = NULL
        WHERE state = 'stopped_by_breaker'
    """)


def downgrade() -> None:
    op.execute("""
        UPDATE content_recovery_tasks r SET
            result = 'refused', reason = 'RecoveryStoppedByBreaker', ended_at = timezone('utc', now())
        FROM content_recoveries c
        WHERE c.recovery_id = r.recovery_id AND c.state = 'paused_by_breaker' AND r.result = 'waiting';

        UPDATE content_recoveries SET state = 'stopped_by_breaker', ended_at = timezone('utc', now())
        WHERE state = 'paused_by_breaker';

        ALTER TABLE content_recoveries DROP COLUMN resumed_at
    """)
