"""Reconciliations: what a person takes, compared to what is planned, when they come, move, return or leave."""
