"""The entourage of a person."""
