"""Saves generated learning content, records what happened, and finds what is missing."""
