"""Client of the supervisor (supervisord) of a local stack, over its Unix socket."""

from __future__ import annotations

import http.client
import xmlrpc.client
from dataclasses import dataclass
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from dui_ops.state import StackError, State


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """A supervised program. `state` is supervisord's: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL."""

    name: str
    kind: str
    state: str
    pid: int | None
    detail: str

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"


class Supervisor:
    """Asks and steers the supervisor of a stack. Each call is one exchange: no connection is kept."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._socket = state["supervisor"]["socket"]

    def _call(self, method: str, *arguments: object) -> Any:
        # The address is a formality of xmlrpc: the transport speaks over the socket file.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(
                f"the supervisor refused {method}({', '.join(map(str, arguments))}): {fault.faultString}"
            ) from fault
        except (OSError, http.client.HTTPException) as error:
            raise StackError("the local stack is not running: start it with `make up`") from error
        finally:
            transport.close()

    def alive(self) -> bool:
        """Whether the supervisor answers."""
        try:
            self._call("getState")
        except StackError:
            return False
        return True

    def pid(self) -> int:
        """The supervisor's own process."""
        return cast("int", self._call("getPID"))

    def programs(self) -> list[ProgramStatus]:
        """Every program, in start order."""
        found = {info["name"]: info for info in self._call("getAllProcessInfo")}
        return [
            ProgramStatus(
                name=name,
                kind=program["kind"],
                state=found[name]["statename"],
                pid=found[name]["pid"] or None,
                detail=found[name]["spawnerr"] or found[name]["description"],
            )
            for name, program in self._state["programs"].items()
            if name in found
        ]

    def start(self, name: str) -> None:
        """Starts a program without waiting for it (the launcher waits for what the program needs).

        A program that already runs or starts is left alone.
        """
        if not any(each.name == name and each.state in {"RUNNING", "STARTING", "BACKOFF"} for each in self.programs()):
            self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stops a program and waits for its end."""
        if any(each.name == name and each.state not in {"STOPPED", "EXITED", "FATAL"} for each in self.programs()):
            self._call("stopProcess", name, True)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def shutdown(self) -> None:
        """Asks the supervisor to stop every program, the last started first, and then itself. Does not wait."""
        self._call("shutdown")
