"""Ends an incomplete run until it is redriven."""

from roadmap_content.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.steps.handler import step_handler

handler = step_handler(AwaitRedriveRequest, await_redrive)
