"""Brings the database's schema up to date."""

from roadmap_content.handler import step_handler
from roadmap_content.migrating import MigrateRequest, migrate_database

handler = step_handler(MigrateRequest, migrate_database)
