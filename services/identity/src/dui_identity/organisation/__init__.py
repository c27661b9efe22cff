"""Associations, their facilities and units."""
