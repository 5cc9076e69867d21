"""The tokens of a task, and the table that counts them: `generation_tokens`.

Attempts, invocations and threads share one row, so that one statement decides. Tokens are reserved before
a call at the most that it may cost, and what it did not cost is given back: so the sum never exceeds the
budget by more than an estimate was wrong, and a process that dies leaves its reservations counted as spent,
which they may well be.
"""

from sqlalchemy import Connection, Engine, text

from ..errors import ContentError, PermanentError
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.settings import Settings

# Promises: one row a task; of all that reserve at the same time, none takes the sum above the limit.
# Tried again after a COMMIT whose outcome is unknown, it may count twice: too much, and never too little.
RESERVE = text("""
INSERT INTO generation_tokens AS known (task_id, tokens)
SELECT :task_id, CAST(:tokens AS bigint) WHERE CAST(:tokens AS bigint) <= :budget
ON CONFLICT (task_id) DO UPDATE SET tokens = known.tokens + excluded.tokens
WHERE known.tokens + excluded.tokens <= :budget
RETURNING tokens
""")

RELEASE = text("UPDATE generation_tokens SET tokens = tokens - :tokens WHERE task_id = :task_id")

READ = text("SELECT tokens FROM generation_tokens WHERE task_id = :task_id")


class TokenBudgetExhaustedError(PermanentError):
    """The task has spent the tokens that it may spend."""

    code = "TokenBudgetExhausted"


class TaskBudget:
    """A `Budget` that all attempts at a task share. The setting is read where it is first needed."""

    def __init__(self, engine: Engine, settings: Settings, task_id: str, deadline: Deadline) -> None:
        self._engine = engine
        self._settings = settings
        self._task_id = task_id
        self._deadline = deadline

    def reserve(self, tokens: int) -> None:
        """Take tokens before they are spent.

        Raises:
            TokenBudgetExhaustedError: with them, the task would be above its budget.
            DatabaseUnavailableError: nobody can tell.
        """
        budget = self._settings.task_token_budget
        parameters = {"task_id": self._task_id, "tokens": tokens, "budget": budget}

        def take(connection: Connection) -> int | None:
            """The tokens that are counted already, where there are too many of them."""
            if connection.execute(RESERVE, parameters).first() is not None:
                return None
            return connection.scalar(READ, parameters) or 0

        counted = transact(self._engine, take, self._deadline)
        if counted is not None:
            raise TokenBudgetExhaustedError(
                f"{counted} of the task's {budget} tokens are spent or reserved, and a call may take "
                f"{tokens}: raise TASK_TOKEN_BUDGET, then retry"
            )

    def release(self, tokens: int) -> None:
        """Give back what was not spent. Tried once: what was paid for must not wait for it to be staged."""
        parameters = {"task_id": self._task_id, "tokens": tokens}
        try:
            transact(
                self._engine, lambda connection: connection.execute(RELEASE, parameters), Deadline.after(0)
            )
        except ContentError as error:
            logger.warning(
                "tokens_not_released",
                task_id=self._task_id,
                tokens=tokens,
                error_code=error.code,
                reason=str(error),
            )
