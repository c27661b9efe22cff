"""Requests to enter a facility, and its waiting list."""
