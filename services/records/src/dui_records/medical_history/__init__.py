"""Medical history (antécédents)."""
