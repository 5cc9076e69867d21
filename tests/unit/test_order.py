"""The order of admission, as a property: the decision from few facts equals the rules over all users."""

from hypothesis import given, settings
from hypothesis import strategies as st

from roadmap_content.state.queue.order import Candidate, Load, next_candidate
from tests.support.admission_rules import User, expected_users

USERS = st.builds(
    User,
    queue_class=st.sampled_from(["interactive", "bulk"]),
    queue_key=st.sampled_from([f"user:{name}" for name in "abcd"]),
    virtual_time=st.sampled_from([0.0, 1.0, 5.0]),
    waits=st.booleans(),
    grants=st.sampled_from([None, None, 0, 1, 2]),
    is_recent=st.booleans(),
)


def load_of(users: list[User], slots: int) -> Load:
    """The facts that the statement reads."""
    candidates = []
    for queue_class in ("interactive", "bulk"):
        waiting = [user for user in users if user.waits and user.queue_class == queue_class]
        waiting.sort(key=lambda user: (user.virtual_time, user.queue_key))
        idle = [user for user in waiting if user.grants is None]
        candidates += [user for user in waiting if user.grants is not None] + idle[:2]
    at_work = [user for user in users if user.grants is not None]
    recent = sorted(user.queue_key for user in at_work if user.is_recent)
    return Load(
        slots,
        sum(user.grants or 0 for user in at_work),
        any(user.queue_class == "bulk" for user in at_work),
        recent[0] if recent else None,
        recent[-1] if recent else None,
        [Candidate(user.queue_class, user.queue_key, user.virtual_time, user.grants) for user in candidates],
    )


@settings(max_examples=1_000)
@given(
    users=st.lists(USERS, max_size=6, unique_by=lambda user: (user.queue_class, user.queue_key)),
    slots=st.sampled_from([1, 2, 4]),
)
def test_the_decision_is_that_of_the_rules(users: list[User], slots: int) -> None:
    chosen = next_candidate(load_of(users, slots))
    name = chosen.queue_key.removeprefix("user:") if chosen else None
    assert name in expected_users(users, slots)
