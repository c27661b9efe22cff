"""Professionals, their accounts, and where they work."""
