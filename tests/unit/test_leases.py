"""Leases of the model's quota, as a property: compared with a queue that serves each token in order."""

from hypothesis import example, given
from hypothesis import strategies as st

from roadmap_content.content.generation.leases import BURST_SECONDS, Bucket, Lease, renewed

RATE = 100.0
EXCHANGES = st.tuples(
    st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0, 4.0]), st.sampled_from([0, 0, 50, 300]), st.booleans()
)
"""The invocation, the seconds since the exchange before, the tokens asked for, whether it ends its lease."""


class Queue:
    """The slow and obvious form: each exchange serves the oldest requests first."""

    def __init__(self) -> None:
        self.stock = RATE * BURST_SECONDS
        self.unserved: list[tuple[int, float]] = []

    def exchange(self, who: int, seconds: float, asked: float) -> None:
        self.stock += RATE * seconds
        self.serve()
        if not self.unserved:
            self.stock = min(self.stock, RATE * BURST_SECONDS)
        if asked:
            self.unserved.append((who, asked))
            self.serve()

    def serve(self) -> None:
        while self.unserved and self.stock:
            oldest, tokens = self.unserved[0]
            served = min(tokens, self.stock)
            self.stock -= served
            self.unserved[0] = (oldest, tokens - served)
            if served == tokens:
                del self.unserved[0]

    def rest(self, who: int) -> float:
        return sum(tokens for owner, tokens in self.unserved if owner == who)


@given(st.lists(EXCHANGES, max_size=30))
def test_tokens_are_due_in_the_order_of_their_leases(exchanges: list[tuple[int, float, float, bool]]) -> None:
    """Nobody ends a lease early here: the due tokens are exactly those that the queue has served."""
    bucket, queue = Bucket(RATE, RATE * BURST_SECONDS, 0, 0, 0, None), Queue()
    leases: dict[int, Lease] = {}
    for who, seconds, wanted, _ in exchanges:
        asked = 0 if who in leases and leases[who].rest else wanted
        bucket = renewed(bucket._replace(elapsed=seconds, lease=leases.get(who)), asked, 0)
        queue.exchange(who, seconds, asked)
        if bucket.lease is not None:
            leases[who] = bucket.lease
            assert bucket.lease.rest == queue.rest(who)


@example([(0, 0.0, 300, False), (2, 0.0, 50, False), (2, 0.0, 0, True), (0, 0.0, 0, False)])
@given(st.lists(EXCHANGES, max_size=30))
def test_never_more_is_due_than_was_supplied(exchanges: list[tuple[int, float, float, bool]]) -> None:
    """The rest of a lease that ends before its time counts as supplied: those that asked before it may use it
    early.
    """
    bucket = Bucket(RATE, RATE * BURST_SECONDS, 0, 0, 0, None)
    leases: dict[int, Lease] = {}
    due, supplied = 0.0, RATE * BURST_SECONDS
    for who, seconds, wanted, ends in exchanges:
        earlier = leases.pop(who, None)
        ended = earlier.rest if ends and earlier else 0.0
        earlier = None if ends else earlier
        asked = 0 if earlier and earlier.rest else wanted
        before = asked or (earlier.rest if earlier else 0)
        state = bucket._replace(elapsed=seconds, ended=ended, lease=earlier)
        bucket = renewed(state, asked, 0)
        supplied += RATE * seconds + ended
        if bucket.lease is not None:
            leases[who] = bucket.lease
            due += before - bucket.lease.rest
        assert due <= supplied
