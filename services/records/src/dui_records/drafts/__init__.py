"""Drafts: unfinished entries of a named type, their author's alone."""
