"""Try on a deployed stack what we believe about AWS: `make first-day STACK=staging`, docs/first-day.md."""
