"""Checks with the real SAM CLI: its build is deployed to the local cloud, and run in containers.

`python -m checks.sam build`, `deploy` and `local` are `make sam-build`, `sam-deploy-local` and `sam-local`.
"""
