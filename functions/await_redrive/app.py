"""Lambda of the state AwaitRedrive: fails an incomplete execution, and plans again after a redrive."""

from roadmap_content.capabilities.erasure.fence import ERASURE_FENCE
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(AwaitRedriveRequest, await_redrive, capabilities=(ERASURE_FENCE,), is_alarmed=False)
