"""The whole stack on one machine, and the `roadmap` command."""
