"""Lambda that finalizes tasks whose execution ended without Finalize, and repairs drifted projections."""

from roadmap_content.steps.handler import step_handler
from roadmap_content.steps.reconcile import ReconcileRequest, reconcile

handler = step_handler(ReconcileRequest, reconcile)
