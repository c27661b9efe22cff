"""Prescriptions: drafts, signed prescriptions, and the lines of treatment that they make."""
