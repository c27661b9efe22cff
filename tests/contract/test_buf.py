"""`buf` on the descriptor set: the style of the contract, and nothing that a client of the last release relies on broken.

`protos/baseline.binpb` is the contract of the last release (no comments, so that it only changes with the contract).
Renew it at a release: `python tests/contract/renew_baseline.py`.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet

BUF = Path(sysconfig.get_path("scripts")) / "buf"
LINT = '{"version":"v2","lint":{"use":["STANDARD","COMMENTS"]}}'
BREAKING = '{"version":"v2","breaking":{"use":["FILE"]}}'


def buf(*arguments: str) -> tuple[int, str]:
    """Exit status of buf, and everything it said."""
    done = subprocess.run([str(BUF), *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def breaking(new: Path, old: Path) -> tuple[int, str]:
    """What `new` breaks for who relies on `old`."""
    return buf("breaking", str(new), "--against", str(old), "--path", "dui", "--config", BREAKING)


def test_the_contract_follows_the_style(image: Path) -> None:
    assert buf("lint", str(image), "--path", "dui", "--config", LINT) == (0, "")


def test_the_contract_breaks_nothing_of_the_last_release(root: Path, image: Path) -> None:
    assert breaking(image, root / "protos/baseline.binpb") == (0, "")


@pytest.mark.parametrize("damage", ["field removed", "type changed", "rpc removed", "enum value renamed"])
def test_a_breaking_change_would_be_seen(root: Path, tmp_path: Path, damage: str) -> None:
    contract = FileDescriptorSet.FromString((root / "protos/baseline.binpb").read_bytes())
    (file,) = (file for file in contract.file if file.name == "dui/records/v1/stays.proto")
    (stay,) = (message for message in file.message_type if message.name == "Stay")
    match damage:
        case "field removed":
            del stay.field[-1]
        case "type changed":
            stay.field[-1].type = FieldDescriptorProto.TYPE_INT32
        case "rpc removed":
            del file.service[0].method[0]
        case _:
            file.enum_type[0].value[1].name += "_NEW"
    damaged = tmp_path / "damaged.binpb"
    damaged.write_bytes(contract.SerializeToString())
    status, said = breaking(damaged, root / "protos/baseline.binpb")
    assert status != 0
    assert "stays.proto" in said


def test_a_comment_that_is_missing_would_be_seen(image: Path, tmp_path: Path) -> None:
    contract = FileDescriptorSet.FromString(image.read_bytes())
    for file in contract.file:
        if file.name == "dui/records/v1/stays.proto":
            for location in file.source_code_info.location:
                location.ClearField("leading_comments")
    bare = tmp_path / "bare.binpb"
    bare.write_bytes(contract.SerializeToString())
    status, said = buf("lint", str(bare), "--path", "dui", "--config", LINT)
    assert status != 0
    assert "comment" in said
