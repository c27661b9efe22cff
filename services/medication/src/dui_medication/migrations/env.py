"""What Alembic runs: the kit knows how."""

from dui_kit.db.migrate import run

run()
