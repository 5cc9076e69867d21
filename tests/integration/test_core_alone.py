"""The core without any capability passes its own tests: of the pipeline, retries, sweep and status."""

import pytest

from tests.integration import test_checks, test_pipeline, test_recovery, test_status
from tests.support.pipeline import Pipeline

test_run = test_pipeline.test_a_run_without_faults_saves_everything_as_staged
test_generation = test_pipeline.test_items_that_are_not_staged_are_generated_and_counted
test_failure = test_pipeline.test_invalid_content_fails_alone_and_is_repaired_by_the_next_attempt
test_fence = test_pipeline.test_an_older_attempt_does_not_overwrite_the_outcome_of_a_newer_one
test_retry = test_recovery.test_missing_items_are_read_from_the_tables_and_not_from_the_framework
test_redrive = test_recovery.test_a_redriven_run_claims_the_next_attempt_once
test_end = test_recovery.test_the_end_of_an_execution_without_finalize_is_recorded
test_sweep = test_checks.test_the_next_sweep_repairs_what_the_product_changes_once
test_polls = test_status.test_a_poll_sees_changes_of_the_framework_by_the_product


@pytest.fixture
def pipeline(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The steps, which compose nothing."""
    monkeypatch.setattr(pipeline.services, "_capabilities", ())
    return pipeline
