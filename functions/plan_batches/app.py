"""Plans a task's attempt: claims it and writes down what PostgreSQL misses."""

from roadmap_content.steps.handler import step_handler
from roadmap_content.steps.plan import PlanRequest, plan_batches

handler = step_handler(PlanRequest, plan_batches)
