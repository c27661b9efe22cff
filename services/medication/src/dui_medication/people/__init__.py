"""Whom a prescription is for and who signs it: asked of their owners, and kept for when these are away."""
