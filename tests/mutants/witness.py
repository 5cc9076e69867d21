"""A pytest plugin for the mutation check: reports which tests failed and which code they imported."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = ("functions", "tools", "migrations", "roadmap_content", "tests")
REPORT = "MUTANTS_REPORT"
"""The environment variable with the path of the report."""


class Witness:
    """Writes `{"passed": […], "noticed": {test: how}, "broken": {test: how}, "strangers": […]}`.

    `noticed`: the test failed in its own body. `broken`: a module could not be imported or a fixture raised,
    which is no evidence about the guard: the check itself is broken.
    """

    def __init__(self, report: Path) -> None:
        self._report = report
        self._passed: list[str] = []
        self._noticed: dict[str, str] = {}
        self._broken: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report = yield
        if call.excinfo is not None:
            (self._noticed if call.when == "call" else self._broken)[item.nodeid] = call.excinfo.exconly()
        elif call.when == "call":
            self._passed.append(item.nodeid)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken[report.nodeid] = str(report.longrepr)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        root = session.config.rootpath
        strangers = [
            f"{name} is {module.__file__}"
            for name, module in sorted(sys.modules.items())
            if name.partition(".")[0] in OURS
            and getattr(module, "__file__", None)
            and not Path(module.__file__ or "").is_relative_to(root)
        ]
        told = {
            "passed": self._passed,
            "noticed": self._noticed,
            "broken": self._broken,
            "strangers": strangers,
        }
        self._report.write_text(json.dumps(told))


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin if the mutation check requests it."""
    config.pluginmanager.register(Witness(Path(os.environ[REPORT])))
