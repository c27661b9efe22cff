"""What Alembic runs: the kit knows how."""

from dui_kit.migrate import run

run()
