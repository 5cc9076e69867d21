"""The compared ways of saving a roadmap's content.

Each takes a `Stock`, prepares outside the measured time, and returns the work: from validated content to the
commit, on an open connection.
"""
