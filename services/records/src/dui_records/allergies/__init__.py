"""Allergies and intolerances."""
