"""Merging two records of one person, and taking one out again."""
