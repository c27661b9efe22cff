"""Brings a stack up and down, in order, and says what it does."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
from dui_ops import probes
from dui_ops.login import LoginError
from dui_ops.state import StackError, State, load, save
from dui_ops.supervision import Supervisor

from dui_local import credentials, keycloak, launch, ports, postgres, programs, realm, supervision
from dui_local import seed as demo
from dui_local import state as states
from dui_local.api import ApiError
from dui_local.layout import Layout
from dui_local.services import SERVICES
from dui_local.template import template

# Generous: the first start of Keycloak fills its database, on a machine that may be busy with the others.
READY_SECONDS = 240
STOP_SECONDS = 180
# A program that ended so often while it was waited for will not start: nothing that it needs is still on its way, for the
# launcher has waited for that.
MOST_ENDS = 3

TITLES = {"postgres": "PostgreSQL", "nats": "NATS", "keycloak": "Keycloak"}
PLATFORM_KINDS = {"service", "worker", "gateway"}


class Progress:
    """Tells a person what happens, a line per step, with its time."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, line: str) -> None:
        sys.stderr.write(f"  {time.monotonic() - self._begun:5.1f} s  {line}\n")
        sys.stderr.flush()


def up(
    layout: Layout,
    chosen: Mapping[str, int],
    progress: Progress,
    *,
    infra: bool = False,
    tied: bool = False,
    ephemeral: bool = False,
) -> State:
    """Starts what does not run yet and returns the state once everything answers.

    Args:
        chosen: the ports, by name.
        infra: PostgreSQL, NATS and Keycloak with its realm only, not the platform.
        tied: the stack ends with the calling process.
        ephemeral: it is for a test run: Keycloak may begin with the database that an earlier run has kept.

    Raises:
        StackError: something did not start; the message says what, and where its log is.
    """
    layout.create()
    with _only_one(layout):
        state = _running(layout)
        if state is None:
            state = _begin(layout, chosen, progress, tied=tied, ephemeral=ephemeral)
        elif state["ports"] != dict(chosen):
            raise StackError("the stack runs with other ports: `make down` first")
        else:
            progress("already running (`make down` first to take changed code into use)")
        _infrastructure(layout, state, progress, infra=infra, ephemeral=ephemeral)
        if not infra:
            _platform(state, progress)
        return state


def down(layout: Layout, progress: Progress) -> bool:
    """Stops the stack, the last started first. Returns whether there was one."""
    state = _running(layout)
    if state is None:
        return bool(layout.run.is_dir() and launch.stop_leftovers(layout))
    supervisor = Supervisor(state)
    pid = supervisor.pid()
    progress("stopping")
    with contextlib.suppress(StackError):  # it may hang up before it has answered
        supervisor.shutdown()
    if not supervision.wait_for_end(pid, STOP_SECONDS):
        raise StackError(f"the supervisor (process {pid}) does not end: see {layout.log / 'supervisord.log'}")
    launch.stop_leftovers(layout)
    progress("stopped")
    return True


def seed(state: State, progress: Callable[[str], None]) -> None:
    """Loads the demo data, unless it is there.

    Raises:
        StackError: a request was refused; running `seed` again goes on where it can.
    """
    try:
        demo.reference(state)
        if state["seed"].get("complete"):
            return
        progress("loading the demo data")
        demo.seed(state)
    except (ApiError, LoginError, httpx.HTTPError, psycopg.Error) as error:
        raise StackError(f"the demo data could not be loaded ({error}): try `python -m dui_local seed`") from error
    save(state)


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "    (no log yet)"
    return "\n".join(f"    {line[:300]}" for line in content[-lines:])


def _running(layout: Layout) -> State | None:
    """The state of the stack that runs in this home, if one does."""
    try:
        state = load(layout.state)
    except StackError:
        return None
    return state if Supervisor(state).alive() else None


def _begin(layout: Layout, chosen: Mapping[str, int], progress: Progress, *, tied: bool, ephemeral: bool) -> State:
    """Everything up to a running supervisor with no program started."""
    if left := launch.stop_leftovers(layout):
        progress(f"ended what an earlier stack left behind: {', '.join(left)}")
    ports.check_free(chosen)
    distribution = keycloak.ensure_distribution(progress)
    given = template(distribution, SERVICES).secrets() if ephemeral else {}
    secrets = credentials.ensure(layout, SERVICES, given)
    credentials.ensure_signing_keys(layout)
    postgres.prepare(layout, secrets["postgres"], chosen["postgres"])
    state = states.build(layout, chosen, secrets, distribution)
    save(state)
    supervision.serve(layout, state, tied=tied)
    return state


def _infrastructure(layout: Layout, state: State, progress: Progress, *, infra: bool, ephemeral: bool) -> None:
    """PostgreSQL and NATS; then, side by side, Keycloak with its realm and what the services need of the two."""
    secrets = credentials.ensure(layout, SERVICES)
    supervisor = Supervisor(state)
    supervisor.start("postgres")
    supervisor.start("nats")
    wait_ready(state, ["postgres", "nats"], progress)
    postgres.bootstrap(state["postgres"]["superuser_url"], SERVICES, secrets)
    begin_with = template(keycloak.ensure_distribution(progress), SERVICES) if ephemeral else None
    if begin_with and begin_with.exists:
        begin_with.restore(state, secrets["keycloak/database"])
    supervisor.start("keycloak")
    if not infra:
        prepare(layout, state, progress)
        for name, program in state["programs"].items():
            if program["kind"] in PLATFORM_KINDS:
                supervisor.start(name)
    if not probes.probe_of(state, "keycloak")().ok:
        progress("waiting for Keycloak, which takes longest")
    wait_ready(state, ["keycloak"], progress)
    realm.reconcile(state)
    if begin_with and not begin_with.exists:
        begin_with.keep(state, secrets)
    progress("Keycloak has its realm")


def prepare(layout: Layout, state: State, progress: Callable[[str], None]) -> None:
    """Brings every service's database to the present schema and its streams to their configuration, side by side."""

    def one(name: str) -> str | None:
        for command in ("migrate", "streams"):
            log = layout.log / f"{name}-{command}.log"
            with log.open("w", encoding="utf-8") as output:
                done = subprocess.run(
                    [sys.executable, "-m", f"dui_{name}", command],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=programs.owner_env(state, name),
                    cwd=layout.home,
                )
            if done.returncode != 0:
                return f"the command `{command}` of {name} failed ({log}):\n{log_tail(log)}"
        return None

    with ThreadPoolExecutor(len(SERVICES)) as pool:
        failures = [failure for failure in pool.map(one, SERVICES) if failure]
    if failures:
        raise StackError("\n".join(failures))
    progress(f"databases migrated, streams made: {', '.join(SERVICES)}")


def _platform(state: State, progress: Progress) -> None:
    wait_ready(state, [name for name, each in state["programs"].items() if each["kind"] in PLATFORM_KINDS], progress)


def wait_ready(
    state: State, names: Sequence[str], progress: Callable[[str], None], seconds: float = READY_SECONDS
) -> None:
    """Waits until the programs answer.

    Raises:
        StackError: one has given up or keeps ending, or the time is over. Names it, with the end of its log.
    """
    deadline = time.monotonic() + seconds
    waiting = list(names)
    supervisor = Supervisor(state)
    pids: dict[str, int | None] = {}
    ends: Counter[str] = Counter()
    while waiting:
        states_now = {each.name: each for each in supervisor.programs()}
        for name in list(waiting):
            log = Path(state["programs"][name]["log"])
            before, pids[name] = pids.get(name), states_now[name].pid
            ends[name] += before is not None and before != pids[name]
            if ends[name] == MOST_ENDS:
                last = log_tail(log, 1).strip()
                if "cannot listen" in last:  # the program names its own setting, which the stack sets
                    last += f" ({ports.setting(name.replace('-', '_'))} on this stack)"
                raise StackError(f"{name} keeps ending, {MOST_ENDS} times so far ({log}); its last line: {last}")
            if states_now[name].state == "FATAL" or time.monotonic() > deadline:
                raise StackError(
                    f"{name} does not start ({states_now[name].state}); its log is {log}:\n{log_tail(log)}"
                )
            if states_now[name].running and probes.probe_of(state, name)().ok:
                waiting.remove(name)
                progress(f"{TITLES.get(name, name)} is ready")
        if waiting:
            time.sleep(0.2)


@contextlib.contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    with (layout.run / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another `up` is at work in {layout.home}") from None
        yield
