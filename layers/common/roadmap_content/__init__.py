"""Saves generated learning content, records what happened, and finds what is missing."""

__version__ = "0.1.0"
