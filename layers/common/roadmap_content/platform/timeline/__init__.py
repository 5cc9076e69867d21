"""An attempt on a time axis."""
