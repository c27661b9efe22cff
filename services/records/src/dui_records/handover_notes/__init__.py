"""Handover notes (transmissions)."""
