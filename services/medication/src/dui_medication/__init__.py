"""medication: the catalogue of medicines, and what is prescribed from it."""
