from dui_kit.migrate import run

run()
