"""A small product, written from docs/integrating.md alone: a course that fills itself while it is generated.

`python small_product.py TASK_ID STEP`: `create`, `follow [CHANGES]`, `again CONCEPT_ID`, `back CONCEPT_ID`.
Its memory is the file `course.json`, so that each step is a new process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from roadmap_content.api.client import Client

USER = "u-small"
MEMORY = Path("course.json")
CONCEPTS = [f"c-{number}" for number in range(12)]
QUESTION = {"question": "What does len([]) return?", "options": ["0", "None"], "correct_answer": [0]}
QUIZ = {"quiz_id": "quiz-small", "total_questions": 1, "questions": [{**QUESTION, "difficulty": "easy"}]}
ROADMAP = (
    "INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at)"
    " VALUES (:roadmap, :user, 'A course', CAST(:framework AS json), now())"
)
TASK = (
    "INSERT INTO roadmap_tasks (task_id, user_id, status, roadmap_id, created_at, updated_at)"
    " VALUES (:task, :user, 'pending', :roadmap, now(), now())"
)


def token_for(user_id: str) -> str:
    return subprocess.check_output(["roadmap", "token", user_id], text=True).strip()


class Course:
    """The lessons of one roadmap, and the position in its feed of changes."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.client = Client.from_environment(token=token_for)
        self.memory: dict[str, Any] = {"cursor": None, "seen": [], "lessons": {}}
        if MEMORY.exists():
            self.memory = json.loads(MEMORY.read_text())

    def create(self) -> None:
        """Insert the rows of a roadmap and its task, stage a quiz of our own, and start the run."""
        concepts = [{"concept_id": concept_id, "name": concept_id} for concept_id in CONCEPTS]
        framework = {"stages": [{"modules": [{"concepts": concepts}]}]}
        ids = {"task": self.task_id, "roadmap": f"r-{self.task_id}", "user": USER}
        with create_engine(os.environ["ROADMAP_DATABASE_URL"]).begin() as db:
            db.execute(text(ROADMAP), ids | {"framework": json.dumps(framework)})
            db.execute(text(TASK), ids)
        self.client.stage(ids["roadmap"], CONCEPTS[0], "quiz", QUIZ)
        self.client.start(self.task_id)

    def follow(self, changes: int | None = None) -> None:
        """Read each lesson as soon as it is ready, until the task is over or after a number of changes."""
        for change in self.client.changes(self.task_id, USER, after=self.memory["cursor"]):
            if change.type in ("Item Saved", "Item Restored"):
                self.read(change.data["concept_id"], change.data["content_type"])
            self.memory["seen"].append(change.id)
            self.memory["cursor"] = change.cursor
            MEMORY.write_text(json.dumps(self.memory))
            if changes is not None and len(self.memory["seen"]) >= changes:
                return

    def read(self, concept_id: str, content_type: str) -> None:
        lesson = self.client.content(self.task_id, USER, concept_id, content_type)
        self.memory["lessons"][f"{concept_id} {content_type}"] = lesson.content

    def again(self, concept_id: str) -> None:
        """Have the quiz of a concept generated again; `follow` reads it."""
        self.client.retry(self.task_id, USER, concept_id=concept_id, content_type="quiz", regenerate=True)

    def back(self, concept_id: str) -> None:
        """Bring back the quiz from before; `follow` reads it."""
        item = self.task_id, USER, concept_id, "quiz"
        former = next(revision for revision in self.client.revisions(*item) if not revision.current)
        self.client.restore(*item, former.revision_id, reason="the new one has a wrong key")


if __name__ == "__main__":
    course = Course(sys.argv[1])
    match sys.argv[2:]:
        case ["create"]:
            course.create()
        case ["follow", *limit]:
            course.follow(*map(int, limit))
        case ["again", concept]:
            course.again(concept)
        case ["back", concept]:
            course.back(concept)
