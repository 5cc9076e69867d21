"""A deployment's log level silences no metric. Lambda's filter is emulated from its documentation ("Log-level
filtering"): a JSON line without a level, or with a timestamp that is not that of RFC 3339, counts as INFO.
"""

import io
import json
import logging
import re
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.metrics import Metric, emit

TEMPLATE: dict[str, Any] = read_template(REPOSITORY / "template.yaml")
LEVELS = TEMPLATE["Parameters"]["LogLevel"]["AllowedValues"]
ORDER = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def passes(line: str, minimum: str) -> bool:
    """Whether Lambda sends a line to CloudWatch."""
    fields = json.loads(line)
    has_time = RFC_3339.fullmatch(str(fields.get("timestamp"))) is not None
    level = fields.get("level") if has_time else None
    return ORDER[level or "INFO"] >= ORDER[minimum]


@pytest.mark.parametrize("level", LEVELS)
def test_every_metric_and_the_lines_of_the_level_reach_cloudwatch(
    level: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with WARNING, the alarm of the sweep rang for ever, and others were silent."""
    minimum: str = TEMPLATE["Mappings"]["LogLevels"][level]["Lambda"]
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "roadmap-content")
    written = io.StringIO()
    handler = logger.registered_handler
    before, stream = logger.log_level, handler.setStream(written)  # type: ignore[attr-defined]
    logger.setLevel(level)
    try:
        for write in (logger.debug, logger.info, logger.warning, logger.error):
            write("something_happened")
        emit({Metric.SWEEPS: 1})
    finally:
        logger.setLevel(before)
        handler.setStream(stream)  # type: ignore[attr-defined]
    lines = written.getvalue().splitlines()
    # Otherwise each line is one of INFO: regression, an option of the logger that does not exist was a field.
    assert all(RFC_3339.fullmatch(json.loads(line)["timestamp"]) for line in lines)
    sent = [json.loads(line)["level"] for line in lines if passes(line, minimum)]
    assert sent == [name for name in ("DEBUG", "INFO", "WARNING", "ERROR") if ORDER[name] >= ORDER[level]]
    (metric,) = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert passes(metric, minimum)


def test_a_line_can_be_encoded_with_any_text_in_it() -> None:
    line = logger.registered_formatter.format(logging.makeLogRecord({"msg": "half an emoji: \ud83d"}))
    assert json.loads(line.encode())["message"].startswith("half an emoji")
