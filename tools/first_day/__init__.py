"""Try our beliefs about AWS on a deployed stack: `make first-day STACK=staging`, docs/first-day.md."""
