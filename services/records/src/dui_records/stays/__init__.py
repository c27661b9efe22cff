"""Stays: from entry to exit."""
