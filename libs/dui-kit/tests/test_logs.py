"""One JSON object a line, whoever writes it, and nothing in it that could be somebody's."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

SETUP = "from dui_kit.wire import logs; logs.setup('records', 'INFO');"


def written(body: str) -> tuple[int, list[dict[str, Any]]]:
    """The lines of a process that sets its logs up and runs `body`, on both of its outputs; and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", SETUP + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert "DUPONT" not in done.stdout
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def of_a_library() -> None:
    logging.getLogger("driver").warning("the row %s of %r is refused", "DUPONT", {"name": "DUPONT"})


def of_a_library_about_an_error() -> None:
    error = ValueError("Key (name)=(DUPONT) already exists.")
    logging.getLogger("driver").error(f"Exception calling application: {error}", exc_info=error)  # noqa: G004 (as grpc does)


def of_a_task_that_nobody_waited_for() -> None:
    async def fails() -> None:
        raise ValueError("DUPONT")

    async def main() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(main())


def of_a_thread() -> None:
    def fails() -> None:
        raise ValueError("DUPONT")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()


def of_a_destructor() -> None:
    class Fails:
        def __del__(self) -> None:
            raise ValueError("DUPONT")

    Fails()


def of_a_warning() -> None:
    warnings.warn("DUPONT is odd", stacklevel=1)


WARNED_AT = of_a_warning.__code__.co_firstlineno + 1


@pytest.mark.parametrize(
    ("writer", "said"),
    [
        (of_a_library, {"level": "warning", "logger": "driver", "message": "the row %s of %r is refused"}),
        (
            of_a_library_about_an_error,
            {"level": "error", "message": "Exception calling application: ValueError", "error": "ValueError"},
        ),
        (of_a_task_that_nobody_waited_for, {"logger": "asyncio", "error": "ValueError"}),
        (of_a_thread, {"level": "critical", "message": "nobody caught an error", "error": "ValueError"}),
        (of_a_destructor, {"level": "critical", "message": "nobody caught an error", "error": "ValueError"}),
        (of_a_warning, {"logger": "py.warnings", "message": f"{__file__}:{WARNED_AT}: UserWarning"}),
    ],
)
def test_what_others_write_is_a_line_of_ours_without_their_data(
    writer: Callable[[], None], said: dict[str, str]
) -> None:
    code, lines = written(f"import runpy; runpy.run_path({__file__!r})[{writer.__name__!r}]()")
    assert code == 0
    [line] = lines
    assert line["service"] == "records"
    assert {name: line[name] for name in said} == said


def test_an_error_that_ends_the_process_is_told_by_class_and_place() -> None:
    code, lines = written("raise ValueError('DUPONT')")
    assert code == 1
    [line] = lines
    assert (line["level"], line["error"], line["where"]) == ("critical", "ValueError", ["<string>:1"])


def test_libraries_are_heard_from_warnings_on_and_the_platform_from_its_level() -> None:
    _, lines = written(
        "import logging; logging.getLogger('httpx').info('GET /users?name=DUPONT');"
        "logs.log.debug('DUPONT'); logs.log.info('serving', address='127.0.0.1:1')"
    )
    assert [(line["message"], line["address"]) for line in lines] == [("serving", "127.0.0.1:1")]


def test_a_line_has_the_trace_of_the_call_that_runs_in_its_thread() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    _, lines = written(
        "import logging, threading; from dui_kit.wire import telemetry; from opentelemetry.trace import SpanKind\n"
        "def call():\n"
        f" with telemetry.span('call', SpanKind.SERVER, '{parent}'):\n"
        "  logs.log.info('inside'); logging.getLogger('driver').warning('inside too')\n"
        " logs.log.info('outside')\n"
        "thread = threading.Thread(target=call); thread.start(); thread.join()"
    )
    assert [(line["message"], line.get("trace_id")) for line in lines] == [
        ("inside", "0af7651916cd43dd8448eb211c80319c"),
        ("inside too", "0af7651916cd43dd8448eb211c80319c"),
        ("outside", None),
    ]
    assert {line["service"] for line in lines} == {"records"}
