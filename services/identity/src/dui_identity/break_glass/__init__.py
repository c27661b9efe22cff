"""Opening one person's record in an emergency."""
