"""Deploys a release: `make deploy ENV=prod`."""
