"""What makes the content that is not staged: an interface, and one module for each way to fill it."""

from .generator import Generator, generator_named

__all__ = ["Generator", "generator_named"]
