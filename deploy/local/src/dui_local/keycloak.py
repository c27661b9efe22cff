"""Keycloak of the stack: fetched once by Maven, built once for PostgreSQL, shared by the checkouts of an account."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dui_ops.state import StackError

from dui_local.layout import Layout, shared_cache

VERSION = "26.7.4"
# Of the artifact org.keycloak:keycloak-quarkus-dist:zip. A new version needs its own.
SHA256 = "a286e98b4296d4e75ee88d8527c7cd463b307caa022f088c9f22cffccc741fa1"
MINIMUM_JAVA = 17

# Fixed at build time; a change makes another build beside the old one.
BUILD_OPTIONS = (
    "--db=postgres",
    "--health-enabled=true",
    "--features-disabled=ciba,device-flow,impersonation,kerberos",
)
_MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"

# As bin/kc.sh sets them. The script is not used to run the server: it stays in between as a parent, and a killed
# script would leave its Java process behind, holding the port.
_JAVA_OPTIONS = (
    "-Xms64m", "-Xmx512m", "-XX:MetaspaceSize=96M", "-XX:MaxMetaspaceSize=256m", "-XX:+ExitOnOutOfMemoryError",
    "-XX:+UseG1GC", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Dstderr.encoding=UTF-8",
    "-Djava.security.egd=file:/dev/urandom", "-Duser.language=en", "-Duser.country=US",
    "-Djdk.tls.rejectClientInitiatedRenegotiation=true", "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Dpicocli.disable.closures=true", "-Dquarkus-log-max-startup-records=10000",
    "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)  # fmt: skip


def java() -> str:
    """The Java to run Keycloak with: of `$JAVA_HOME`, else of the path.

    Raises:
        StackError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise StackError(f"Java {MINIMUM_JAVA} or later is missing: `make tools` says how to install it")
    said = subprocess.run([found, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < MINIMUM_JAVA:
        raise StackError(
            f"Keycloak needs Java {MINIMUM_JAVA} or later, and {found} is {version[1] if version else 'unknown'}"
        )
    return found


def ensure_distribution(progress: Callable[[str], None]) -> Path:
    """The built distribution, from the shared cache; fetched and built first if it is not there.

    One process at a time does that; others wait for it. `progress` gets a line for each slow step.
    """
    cache = shared_cache()
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\n".join((SHA256, *BUILD_OPTIONS)).encode()).hexdigest()[:12]
    built = cache / f"keycloak-{VERSION}-{key}"
    if built.is_dir():
        return built
    with (cache / "keycloak.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another program fetches Keycloak: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.is_dir():
            archive = _fetch(cache, progress)
            _build(archive, built, progress)
    return built


def prepare(layout: Layout, distribution: Path) -> Path:
    """The folder that a stack's own Keycloak runs in: the shared programs, its own configuration and temporary files."""
    home = layout.keycloak
    for name in ("lib", "providers", "themes"):
        link = home / name
        if not link.is_symlink() or link.readlink() != distribution / name:
            link.unlink(missing_ok=True)
            link.symlink_to(distribution / name)
    for name in ("conf", "data"):
        (home / name).mkdir(exist_ok=True)
    (home / "conf" / "keycloak.conf").write_text("# Settings come from the environment.\n", encoding="utf-8")
    return home


def command(home: Path) -> list[str]:
    """The command line of the server."""
    return [
        java(), *_JAVA_OPTIONS, f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}",
        "-cp", str(home / "lib" / "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        "start", "--optimized",
    ]  # fmt: skip


def environment(
    ports: Mapping[str, int], passwords: Mapping[str, str], admin: str, bootstrap_client: str
) -> dict[str, str]:
    """The settings of the server."""
    return {
        "KC_DB_URL": f"jdbc:postgresql://127.0.0.1:{ports['postgres']}/keycloak",
        "KC_DB_USERNAME": "keycloak",
        "KC_DB_PASSWORD": passwords["keycloak/database"],
        "KC_DB_POOL_INITIAL_SIZE": "2",
        "KC_DB_POOL_MIN_SIZE": "2",
        "KC_DB_POOL_MAX_SIZE": "20",
        # A connection that was idle is tried before it serves a login: after a restart of PostgreSQL the first logins would
        # meet the dead ones and fail.
        "QUARKUS_DATASOURCE_JDBC_FOREGROUND_VALIDATION_INTERVAL": "PT0.05S",
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(ports["keycloak"]),
        "KC_HTTP_MANAGEMENT_PORT": str(ports["keycloak_management"]),
        "KC_HOSTNAME": f"http://127.0.0.1:{ports['keycloak']}",
        # One server, nobody to share with: without this it looks for others on the network.
        "KC_CACHE": "local",
        "KC_LOG_CONSOLE_COLOR": "false",
        # Its own format without the exception (%e): what a mail server answers in there names whom the mail was for.
        "KC_LOG_CONSOLE_FORMAT": "%d{yyyy-MM-dd HH:mm:ss,SSS} %-5p [%c] (%t) %s%n",
        "KC_LOG_LEVEL": "info,io.smallrye.health:off",  # it logs every question asked while it starts
        "KC_BOOTSTRAP_ADMIN_USERNAME": admin,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": passwords["keycloak/admin"],
        "KC_BOOTSTRAP_ADMIN_CLIENT_ID": bootstrap_client,
        "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": passwords["keycloak/bootstrap"],
    }


def _fetch(cache: Path, progress: Callable[[str], None]) -> Path:
    archive = cache / f"keycloak-quarkus-dist-{VERSION}.zip"
    if archive.exists() and _sha256(archive) == SHA256:
        return archive
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError("Maven is missing: `make tools` says how to install it")
    progress(f"fetching Keycloak {VERSION} with Maven (170 MB, once)")
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder:
        fetched = subprocess.run(
            [
                maven, "-q", "-B", f"{_MAVEN_PLUGIN}:copy",
                f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip", f"-DoutputDirectory={folder}",
            ],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        candidate = Path(folder) / archive.name
        if fetched.returncode != 0 or not candidate.exists():
            raise StackError(f"Maven could not fetch Keycloak {VERSION}: {_tail(fetched.stdout + fetched.stderr)}")
        if _sha256(candidate) != SHA256:
            raise StackError(f"what Maven fetched is not Keycloak {VERSION} as we know it (SHA-256 differs): not used")
        candidate.replace(archive)
    return archive


def _build(archive: Path, built: Path, progress: Callable[[str], None]) -> None:
    progress(f"building Keycloak {VERSION} for PostgreSQL (about 30 s, once)")
    with tempfile.TemporaryDirectory(dir=built.parent, prefix="build-") as folder:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        unpacked = Path(folder) / f"keycloak-{VERSION}"
        script = unpacked / "bin" / "kc.sh"
        script.chmod(0o755)
        done = subprocess.run(
            ["sh", str(script), "build", *BUILD_OPTIONS],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("KC_")}, "JAVA": java()},
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"Keycloak could not be built: {_tail(done.stdout + done.stderr)}")
        unpacked.rename(built)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tail(text: str) -> str:
    return " / ".join(line.strip() for line in text.splitlines()[-5:] if line.strip())
