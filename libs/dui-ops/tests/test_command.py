"""The `dui` command: what it finds, what it says when there is no stack."""

from __future__ import annotations

import time
from pathlib import Path

import pyotp
import pytest
from dui_ops.__main__ import main
from dui_ops.login import one_time_code


def test_without_a_stack_it_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DUI_STACK", str(tmp_path / "state.json"))
    assert main(["status"]) == 2
    assert "make up" in capsys.readouterr().err


def test_every_subcommand_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "token" in text
    assert "status" in text


def test_two_codes_in_a_row_differ_and_the_server_takes_both() -> None:
    secret = pyotp.random_base32()
    begun = time.time()
    codes = [one_time_code(secret), one_time_code(secret)]
    assert codes[0] != codes[1]
    assert time.time() - begun < 1
    # As Keycloak does with a look-ahead of one period.
    assert all(pyotp.TOTP(secret).verify(code, valid_window=1) for code in codes)
