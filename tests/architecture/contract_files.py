"""The contract as it is on disk: descriptors of every file of `protos/`, and where the repository's own files are."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dui.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor, ServiceDescriptor

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
GENERATED = ROOT / "libs" / "dui-protos" / "src" / "dui"

_NOT_OURS = {".git", ".venv", ".tools", ".dui", ".hypothesis", "__pycache__", "node_modules", "dist"}


def files() -> list[FileDescriptor]:
    """One descriptor per file of the contract, in the order of their paths."""
    paths = sorted(path.relative_to(PROTOS) for path in (PROTOS / "dui").rglob("*.proto"))
    modules = [str(path.with_suffix("")).replace("/", ".") + "_pb2" for path in paths]
    return [importlib.import_module(module).DESCRIPTOR for module in modules]


def services() -> list[ServiceDescriptor]:
    """Every gRPC service of the contract."""
    return [service for file in files() for service in file.services_by_name.values()]


def messages() -> list[Descriptor]:
    """Every message of the contract, nested ones included."""
    return [message for file in files() for top in file.message_types_by_name.values() for message in _nested(top)]


def enums() -> list[EnumDescriptor]:
    """Every enum of the contract, nested ones included."""
    top = [enum for file in files() for enum in file.enum_types_by_name.values()]
    return top + [enum for message in messages() for enum in message.enum_types_by_name.values()]


def events() -> list[Descriptor]:
    """Every message with `(dui.options.v1.event)`."""
    return [message for message in messages() if message.GetOptions().HasExtension(options_pb2.event)]


def tracked(*suffixes: str) -> list[Path]:
    """Files of the repository whose names end so (all, if none is given), without what is installed or generated.

    Version control says which; in an archive without it, the folders that are never the repository's are left out.
    """
    known = _known_to_git()
    found = set(_walk(ROOT)) if known is None else known
    return sorted(path for path in found if path.is_file() and (not suffixes or path.name.endswith(suffixes)))


def _known_to_git() -> set[Path] | None:
    """What git tracks, and new files that it does not ignore; None where there is no git or no repository."""
    git = shutil.which("git")
    if git is None:
        return None
    arguments = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(arguments, cwd=ROOT, check=False, capture_output=True, text=True)
    return {ROOT / name for name in listing.stdout.split("\0") if name} if listing.returncode == 0 else None


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if not path.is_dir():
            yield path
        elif path != GENERATED and path.name not in _NOT_OURS and not path.name.endswith((".egg-info", "_cache")):
            yield from _walk(path)


def _nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for inner in message.nested_types:
        yield from _nested(inner)
