"""A test's own access to the tables of the product."""

from typing import Any

from sqlalchemy import Engine, text


class Tables:
    """The tables, and the roadmap of the test in them."""

    engine: Engine
    roadmap_id: str

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(sql), parameters)]

    def execute(self, sql: str, **parameters: object) -> None:
        """Change the database, as the product would."""
        with self.engine.begin() as connection:
            connection.execute(text(sql), parameters)

    def framework(self) -> dict[str, Any]:
        sql = "SELECT framework_data FROM roadmap_metadata WHERE roadmap_id = :id"
        framework: dict[str, Any] = self.rows(sql, id=self.roadmap_id)[0]["framework_data"]
        return framework
