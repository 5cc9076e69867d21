"""Fixtures of the fault tests (shared with the integration tests), and the report of the matrices."""

import json
import os

import pytest
from rich.console import Console

from tests.faults.matrix.report import DOCUMENT, REPORTED, Results, differences, is_complete, render, show
from tests.faults.sampling import IS_SAMPLE
from tests.faults.test_histories import HISTORIES, SEED
from tests.support.fixtures import bucket_name, pipeline

__all__ = ["bucket_name", "pipeline"]

_RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    """Collect the results of the matrices, also from other workers."""
    results: Results = {matrix.name: [] for matrix in REPORTED}
    config.stash[_RESULTS] = results

    class Collector:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            for name, value in report.user_properties if report.when == "call" else ():
                if name in results:
                    results[name].append(tuple(json.loads(str(value))))

    config.pluginmanager.register(Collector())


def pytest_report_header() -> str:
    """Print the seed, so that a run can be repeated, and whether cells are left out."""
    return f"FAULTS_SEED={SEED} FAULTS_HISTORIES={HISTORIES} FAULTS_CELLS={'sample' if IS_SAMPLE else 'all'}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Check the document's rows of the cells that were run, or write them after a complete run."""
    results = session.config.stash[_RESULTS]
    if hasattr(session.config, "workerinput"):
        return
    if is_complete(results) and os.environ.get("FAULTS_REPORT") == "write":
        DOCUMENT.write_text(render(results))
    elif differences(results):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables."""
    results = config.stash[_RESULTS]
    show(results, Console(width=180))
    if changed := differences(results):
        terminalreporter.write_line("docs/faults.md differs: make faults FAULTS_REPORT=write", red=True)
        terminalreporter.write_line("\n".join(changed))
