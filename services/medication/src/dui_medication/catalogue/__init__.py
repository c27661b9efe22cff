"""The catalogue of medicines, edition by edition."""
