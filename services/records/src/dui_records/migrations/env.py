"""Alembic's entry point: the kit runs migrations."""

from dui_kit.migrate import run

import dui_records.app  # noqa: F401 (declares every table)

run()
