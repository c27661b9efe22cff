"""Writes the Python of the contract and its descriptor set from `protos/`.

Output (git-ignored): `src/dui/<package>/v1/*_pb2.py`, `*_pb2_grpc.py`, their stubs, and `src/dui/descriptors.binpb`, a
FileDescriptorSet with imports and comments, from which the gateway builds its routes and its OpenAPI document.
Run by `make protos`; needs the packages grpcio-tools, mypy-protobuf and googleapis-common-protos.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
OUT = Path(__file__).resolve().parent / "src"


def main() -> int:
    """Generates everything anew; returns protoc's exit status."""
    target = OUT / "dui"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    scripts = Path(sysconfig.get_path("scripts"))
    status = protoc.main(
        [
            "protoc",
            f"-I{PROTOS}",
            f"-I{sysconfig.get_path('purelib')}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={target / 'descriptors.binpb'}",
            f"--python_out={OUT}",
            f"--grpc_python_out={OUT}",
            f"--mypy_out=quiet:{OUT}",
            f"--mypy_grpc_out=quiet:{OUT}",
            *sources,
        ]
    )
    for folder in {path.parent for path in target.rglob("*_pb2.py")}:
        (folder / "py.typed").touch()
    (target / "py.typed").touch()
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
