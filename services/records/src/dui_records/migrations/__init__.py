"""Migrations of the records database (Alembic)."""
