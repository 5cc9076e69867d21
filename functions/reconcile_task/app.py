"""Lambda that finalizes tasks after an execution without Finalize, and repairs drifted projections."""

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(ReconcileRequest, reconcile, capabilities=EVERY, is_alarmed=False)
