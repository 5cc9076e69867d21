"""The parts of the first migration: the product's tables, our own, and the triggers."""
