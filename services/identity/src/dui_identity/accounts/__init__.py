"""Accounts: one account is one person."""
