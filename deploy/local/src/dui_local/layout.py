"""Where the stack keeps its things: one folder, readable by its owner only."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dui_ops.state import StackError

# sun_path of sockaddr_un holds 108 bytes with the final NUL (104 on macOS and the BSDs).
_MAX_SOCKET_PATH = 103


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one stack. Everything is below `home`, but a socket whose path would be too long."""

    home: Path

    @property
    def state(self) -> Path:
        return self.home / "state.json"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def run(self) -> Path:
        """Process records, locks and sockets: worthless once the stack is down."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def conf(self) -> Path:
        """Generated configuration files."""
        return self.home / "conf"

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def nats(self) -> Path:
        return self.home / "nats"

    @property
    def keycloak(self) -> Path:
        return self.home / "keycloak"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def audit_heads(self) -> Path:
        """Signed heads of the access journal, outside of every database."""
        return self.home / "audit-heads"

    @property
    def supervisor_socket(self) -> Path:
        return _socket(self.run / "supervisor.sock")

    def create(self) -> None:
        """Creates the folders, or narrows the rights of those that exist.

        Raises:
            StackError: the folder belongs to another account.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        if self.home.stat().st_uid != os.geteuid():
            raise StackError(
                f"{self.home} belongs to another account: start the stack as that account, or set DUI_HOME"
            )
        # Under root PostgreSQL runs as an account of its own (it refuses to be root), which must be able to walk
        # through the home to its own folder; listing it, or entering any other folder, stays root's.
        self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (
            self.log,
            self.run,
            self.secrets,
            self.conf,
            self.nats,
            self.cache,
            self.audit_heads,
            self.keycloak,
        ):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)


def shared_cache() -> Path:
    """Downloads and builds that every checkout of this account shares (`$DUI_CACHE`, else `~/.cache/dui`)."""
    if configured := os.environ.get("DUI_CACHE"):
        return Path(configured).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dui"


def _socket(wanted: Path) -> Path:
    """`wanted` if a Unix socket can have that path, else a short one in a private folder of the system's."""
    if len(os.fsencode(wanted)) <= _MAX_SOCKET_PATH:
        return wanted
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"dui-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise StackError(f"{folder} belongs to another account: set DUI_HOME to a shorter path")
    return folder / f"{name}.sock"
