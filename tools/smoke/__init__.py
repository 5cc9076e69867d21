"""Checks that only a deployed stack permits."""
