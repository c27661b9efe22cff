from dui_kit.db.migrate import run

run()
