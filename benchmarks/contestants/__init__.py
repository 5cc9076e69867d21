"""The ways to save a roadmap's content that are measured against each other.

Each takes a `Stock`, prepares outside the clock, and returns the work itself: from checked content to the
commit, on a connection that is open already.
"""
