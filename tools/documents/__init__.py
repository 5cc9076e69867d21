"""Documents that are generated from the code: the API, the schemas of contents, the price of a run."""
