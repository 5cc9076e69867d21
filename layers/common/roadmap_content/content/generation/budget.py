"""The token budget of a task: the table `generation_tokens`.

All attempts, invocations and threads of a task share one row, so that one statement checks and reserves. The
maximum cost of a call is reserved before the call; unused tokens are returned after it. The sum can exceed
the budget only by the error of an estimate. If a process dies, its reservations stay counted as spent,
because the calls may have been charged.
"""

from sqlalchemy import Connection, Engine, text

from ...contracts.errors import ContentError, TokenBudgetExhaustedError
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings

# Guarantees: one row per task; concurrent reservations never take the sum above the budget.
# A retry after a COMMIT with an unknown outcome may count twice: too many tokens, never too few.
RESERVE = text("""
INSERT INTO generation_tokens AS reserved (task_id, tokens)
SELECT :task_id, CAST(:tokens AS bigint) WHERE CAST(:tokens AS bigint) <= :budget
ON CONFLICT (task_id) DO UPDATE SET tokens = reserved.tokens + excluded.tokens
WHERE reserved.tokens + excluded.tokens <= :budget
RETURNING tokens
""")

RELEASE = text("UPDATE generation_tokens SET tokens = tokens - :tokens WHERE task_id = :task_id")

READ = text("SELECT tokens FROM generation_tokens WHERE task_id = :task_id")


class TaskBudget:
    """The `Budget` of a task, shared by all its attempts. The setting is read at the first reservation."""

    def __init__(self, engine: Engine, settings: Settings, task_id: str, deadline: Deadline) -> None:
        self._engine = engine
        self._settings = settings
        self._task_id = task_id
        self._deadline = deadline

    def reserve(self, tokens: int) -> None:
        """Reserve tokens before a call.

        Raises:
            TokenBudgetExhaustedError: the reservation would exceed the task's budget.
            DatabaseUnavailableError: the budget could not be read.
        """
        budget = self._settings.task_token_budget
        parameters = {"task_id": self._task_id, "tokens": tokens, "budget": budget}

        def reserve(connection: Connection) -> int | None:
            """`None` if the tokens were reserved; otherwise the number of tokens already counted."""
            if connection.execute(RESERVE, parameters).first() is not None:
                return None
            return connection.scalar(READ, parameters) or 0

        counted = transact(self._engine, reserve, self._deadline)
        if counted is not None:
            raise TokenBudgetExhaustedError(
                f"{counted} of the task's {budget} tokens are spent or reserved, and a call may take "
                f"{tokens}: raise TASK_TOKEN_BUDGET, then retry"
            )

    def release(self, tokens: int) -> None:
        """Return unused tokens. Tried only once, so that staging of the generated content is not delayed."""
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
