"""The person accompanied: identity, how sure it is, and its versions."""
