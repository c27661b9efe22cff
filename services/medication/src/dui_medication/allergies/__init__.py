"""Allergies against a treatment: by substance, and by groups of substances that cross-react, from a table with its sources.

A safety net as the check of interactions is: an allergy that was not wholly understood is said, never taken for none.
"""
