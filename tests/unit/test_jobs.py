"""The sweep's jobs run in order, each within its limit of time, also after an error of the one before."""

from functools import partial

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation.jobs import before_the_checks, run_jobs
from roadmap_content.state.services import Job, Services
from tests.support.pipeline import SETTINGS


def test_an_error_of_a_job_does_not_stop_the_next_one() -> None:
    limits = []

    def run(error: Exception, _: Services, deadline: Deadline) -> None:
        limits.append(deadline.remaining)
        raise error

    errors = (DatabaseUnavailableError("down"), KeyError("unforeseen"), ValueError())
    jobs = [
        Job(str(seconds), seconds, partial(run, error))
        for seconds, error in zip((60, 20, 40), errors, strict=True)
    ]
    run_jobs(jobs, Services(Settings(SETTINGS)), Deadline.after(30))
    assert [round(limit / 10) for limit in limits] == [3, 2, 3]


def test_the_jobs_of_a_sweep_leave_time_for_its_checks() -> None:
    jobs = before_the_checks(Services(Settings(SETTINGS), EVERY), {})
    assert sum(job.seconds for job in jobs) <= 160
