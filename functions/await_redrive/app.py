"""Ends an incomplete run until it is redriven."""

from roadmap_content.handler import step_handler
from roadmap_content.redriving import AwaitRedriveRequest, await_redrive

handler = step_handler(AwaitRedriveRequest, await_redrive)
