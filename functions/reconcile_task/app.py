"""Records what ended without a record, and repairs what no longer follows from the tables."""

from roadmap_content.steps.handler import step_handler
from roadmap_content.steps.reconcile import ReconcileRequest, reconcile

handler = step_handler(ReconcileRequest, reconcile)
