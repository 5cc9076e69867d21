"""Checks of the template against the code that it deploys, and linters: `make verify-template`."""
