"""Holds the template against the code that it deploys, and both against linters: `make verify-template`."""
