"""The snapshot of the access facts."""
