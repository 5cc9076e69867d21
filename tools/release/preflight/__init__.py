"""Read an AWS account before a deployment, and name everything that it lacks. Nothing is changed.

Each module is a group of checks: `check(clients, target)` reads, and its pure functions find the defects.
"""
