"""What only a deployed stack can show."""
