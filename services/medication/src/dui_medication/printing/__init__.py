"""A signed prescription as a document to print."""
