"""The account that PostgreSQL runs as."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess

from dui_ops.state import StackError

DEFAULT_ACCOUNT = "dui-postgres"


def account() -> pwd.struct_passwd | None:
    """The account that PostgreSQL runs as when we are root, which it refuses to be; None when we are not.

    It is `$DUI_POSTGRES_ACCOUNT`, else `dui-postgres`, made as a system account without login if it is missing.
    """
    if os.geteuid() != 0:
        return None
    name = os.environ.get("DUI_POSTGRES_ACCOUNT", DEFAULT_ACCOUNT)
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    if (useradd := shutil.which("useradd")) is None:
        raise StackError(
            "PostgreSQL does not run as root: start the stack as an ordinary user, "
            "or name an existing account in DUI_POSTGRES_ACCOUNT"
        )
    command = [
        useradd,
        "--system",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        raise StackError(
            f"could not create the account {name} for PostgreSQL: {made.stderr.strip()}; "
            "name an existing one in DUI_POSTGRES_ACCOUNT"
        )
    return pwd.getpwnam(name)
