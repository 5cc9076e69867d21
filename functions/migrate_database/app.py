"""Lambda that migrates the database schema; the deployment invokes it."""

from roadmap_content.steps.handler import step_handler
from roadmap_content.steps.migrate import MigrateRequest, migrate_database

handler = step_handler(MigrateRequest, migrate_database)
