"""The whole schema: the product's tables, created or adopted, and everything of this system.

Downgrading removes only the parts of this system. The product's tables stay with all rows, and the tables of
`KEPT` if they have rows.
"""

from alembic import op
from sqlalchemy import text

from migrations import installation
from migrations.baseline import product_tables, tables, triggers

revision = "0028"
down_revision = None


INDEXES = text("SELECT quote_ident(name) FROM content_installation WHERE kind = 'index'")


def upgrade() -> None:
    connection = op.get_bind()
    product_tables.create_or_adopt(connection)
    tables.refuse_other_shapes(connection)
    connection.execute(text(tables.TABLES))
    product_tables.repair_rows(connection)
    product_tables.add_indexes(connection)
    triggers.create_triggers(connection)
    installation.record(connection)


def downgrade() -> None:
    connection = op.get_bind()
    connection.execute(text(triggers.REMOVE))
    for name in connection.scalars(INDEXES).all():
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    connection.execute(text(product_tables.REMOVE))
    connection.execute(text(f"DROP TABLE IF EXISTS {', '.join(tables.OWN)}"))
    for table in tables.KEPT:
        if not connection.scalar(text(f"SELECT EXISTS (SELECT FROM {table})")):
            connection.execute(text(f"DROP TABLE {table}"))
