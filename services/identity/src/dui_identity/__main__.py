"""`python -m dui_identity serve | worker | migrate | check`."""

from dui_kit.main import main

from dui_identity.app import build

if __name__ == "__main__":
    main("identity", build)
