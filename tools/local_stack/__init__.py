"""The local stack: PostgreSQL, a local cloud and the deployed template on one machine."""
