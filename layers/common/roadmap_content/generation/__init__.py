"""What makes the content that is not staged: an interface, and one module for each way to fill it."""

from .allowance import Allowance, Usage
from .generator import Generator, OutOfTimeError, generator_named
from .learner import Learner, learner_from

__all__ = [
    "Allowance",
    "Generator",
    "Learner",
    "OutOfTimeError",
    "Usage",
    "generator_named",
    "learner_from",
]
