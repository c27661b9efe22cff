"""Which profession may do what with which category."""
