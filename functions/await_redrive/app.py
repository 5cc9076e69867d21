"""Lambda of the state AwaitRedrive: fails an incomplete execution, and plans again after a redrive."""

from roadmap_content.capabilities.erasure.exclusion import ERASURE_EXCLUSION
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(
    AwaitRedriveRequest, await_redrive, capabilities=(ERASURE_EXCLUSION,), is_alarmed=False
)
