"""Every test: first those that can run side by side, then, one after the other, those marked `alone`, which kill a part of
the stack or change its realm.

`python -m dui_local.suite [arguments of pytest]`; `-n` says how many run side by side (`auto`: one per core). Without
arguments the coverage of the rules of the field is measured too, and refused below the bar in pyproject.toml: by the tests
of the services, in a pass of their own, since measuring takes half as long again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

#: The tests of the rules of the field.
_COVERING = ("services", "libs/dui-kit/tests/test_identifiers.py")
_NO_TESTS = 5  # pytest's exit code when a selection is empty


def main(arguments: Sequence[str]) -> int:
    """Returns pytest's exit code: that of the first pass that failed, 5 if neither had a test, else 0."""
    side_by_side = ["-n", "auto", "--dist", "loadscope", "-m", "not alone"]
    passes = [[*side_by_side, *arguments]]
    if not arguments:  # a selection covers less
        others = [f"--ignore={path}" for path in _COVERING]
        passes = [[*side_by_side, *_COVERING, "--cov", "--cov-report=term"], [*side_by_side, *others]]
    codes = [_pytest(each) for each in (*passes, ["-m", "alone", *arguments])]
    failed = [code for code in codes if code not in {0, _NO_TESTS}]
    if failed:
        return failed[0]
    return 0 if 0 in codes else _NO_TESTS


def _pytest(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
