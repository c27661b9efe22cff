"""The identity strip: what is checked of a person before a medicine is prescribed or given."""
