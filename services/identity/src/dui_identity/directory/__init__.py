"""Who signs: what other services write of a professional."""
