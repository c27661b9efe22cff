"""The treatment of a person as it stands, and its doses."""
