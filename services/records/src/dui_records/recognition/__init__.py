"""Recognising a person: the RNIV search, homonyms, duplicate candidates."""
