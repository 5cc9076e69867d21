"""Lambda of the state Plan: claims an attempt and writes its manifest of missing items."""

from roadmap_content.capabilities.erasure.exclusion import ERASURE_EXCLUSION
from roadmap_content.runs.steps.handler import step_handler
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches

handler = step_handler(PlanRequest, plan_batches, capabilities=(ERASURE_EXCLUSION,))
