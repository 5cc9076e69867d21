"""The previous design: async ORM, three concepts per transaction, old versions are marked as not the latest
one by one.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, make_url, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.declarative import DeferredReflection
from sqlalchemy.orm import DeclarativeBase, Mapped

from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.storage.keys import text_key

from ..stock import ROADMAP, Entry, Stock

CONCEPTS_PER_TRANSACTION = 3


class _Model(DeferredReflection, DeclarativeBase):
    """The product's models."""

    __abstract__ = True

    if TYPE_CHECKING:  # the columns are read from the tables
        roadmap_id: Mapped[str]
        concept_id: Mapped[str]
        is_latest: Mapped[bool]


class Tutorial(_Model):
    """A version of a tutorial."""

    __tablename__ = "tutorial_metadata"


class Resources(_Model):
    """A concept's resources."""

    __tablename__ = "resource_recommendation_metadata"


class Quiz(_Model):
    """A concept's quiz."""

    __tablename__ = "quiz_metadata"


class Replaced:
    """The previous saver with its event loop and one warm connection."""

    def __init__(self, database_url: str) -> None:
        self._runner = asyncio.Runner()
        url = make_url(database_url).set(drivername="postgresql+asyncpg")
        self._engine: AsyncEngine = create_async_engine(url, pool_size=1, max_overflow=0)
        self._runner.run(self._reflect())

    def close(self) -> None:
        """Disconnect and close the loop."""
        self._runner.run(self._engine.dispose())
        self._runner.close()

    def prepare(self, stock: Stock) -> Callable[[], object]:
        """Return the work: from generated content to the last commit."""
        return lambda: self._runner.run(self._save(stock.entries))

    async def _reflect(self) -> None:
        async with self._engine.connect() as connection:
            await connection.run_sync(lambda bound: _Model.prepare(bound))

    async def _save(self, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), CONCEPTS_PER_TRANSACTION):
            async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                for entry in entries[start : start + CONCEPTS_PER_TRANSACTION]:
                    await _save_tutorial(session, entry.concept_id, entry.content[ContentType.TUTORIAL])
                    await _save_resources(session, entry.concept_id, entry.content[ContentType.RESOURCES])
                    await _save_quiz(session, entry.concept_id, entry.content[ContentType.QUIZ])


async def _save_tutorial(session: AsyncSession, concept_id: str, content: dict[str, Any]) -> None:
    existing = await session.scalars(
        select(Tutorial).where(Tutorial.roadmap_id == ROADMAP, Tutorial.concept_id == concept_id)
    )
    for older in existing:
        older.is_latest = False
    session.add(
        Tutorial(
            tutorial_id=content["tutorial_id"],
            concept_id=concept_id,
            roadmap_id=ROADMAP,
            title=content["title"],
            summary=content["summary"],
            content_url=text_key(ROADMAP, concept_id, content["markdown"].encode()),
            content_status="completed",
            content_version=content["content_version"],
            is_latest=True,
            estimated_completion_time=content["estimated_completion_time"],
        )
    )


async def _save_resources(session: AsyncSession, concept_id: str, content: dict[str, Any]) -> None:
    await session.execute(
        delete(Resources).where(Resources.roadmap_id == ROADMAP, Resources.concept_id == concept_id)
    )
    session.add(
        Resources(
            id=content["id"],
            concept_id=concept_id,
            roadmap_id=ROADMAP,
            resources=content["resources"],
            resources_count=len(content["resources"]),
            search_queries_used=content["search_queries_used"],
        )
    )


async def _save_quiz(session: AsyncSession, concept_id: str, content: dict[str, Any]) -> None:
    await session.execute(delete(Quiz).where(Quiz.roadmap_id == ROADMAP, Quiz.concept_id == concept_id))
    counts = {
        f"{difficulty}_count": sum(question["difficulty"] == difficulty for question in content["questions"])
        for difficulty in ("easy", "medium", "hard")
    }
    session.add(
        Quiz(
            quiz_id=content["quiz_id"],
            concept_id=concept_id,
            roadmap_id=ROADMAP,
            questions=content["questions"],
            total_questions=content["total_questions"],
            **counts,
        )
    )
