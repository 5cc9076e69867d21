"""`python -m tests.faults.soak SCENARIO`: load tasks, break services, heal, and check the invariants.

| scenario | breaks | healed by | runs in |
|---|---|---|---|
| outages | database, model, release, contents | one recovery | this process |
| restore | the database is restored, S3 is not | one retry each, the register of erasures | a local stack |
"""

import argparse
import sys
from collections.abc import Callable, Mapping

from tests.faults import drill, restore
from tests.support.soak import Found, end

SCENARIOS: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "outages": drill.play,
    "restore": restore.play,
}


def main() -> int:
    """Play a scenario; return the exit code."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--tasks", type=int, help="the number of tasks, if not the scenario's own")
    parser.add_argument("--rate", type=int, default=300, help="outages: tasks a minute of the recovery")
    parser.add_argument("--concurrency", type=int, default=40, help="outages: tasks of the recovery at once")
    options = parser.parse_args()
    return end(SCENARIOS[options.scenario](options))


if __name__ == "__main__":
    sys.exit(main())
