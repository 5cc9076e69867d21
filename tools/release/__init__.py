"""Deploy a release: `make deploy ENV=prod`."""
