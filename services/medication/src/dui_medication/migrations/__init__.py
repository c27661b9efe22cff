"""Migrations of the medication database (Alembic)."""
