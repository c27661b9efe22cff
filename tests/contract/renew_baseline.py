"""Makes the contract as it is now the one that later versions must not break. To be run at a release."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Writes protos/baseline.binpb: the descriptor set without comments."""
    contract = FileDescriptorSet.FromString((ROOT / "libs/dui-protos/src/dui/descriptors.binpb").read_bytes())
    for file in contract.file:
        file.ClearField("source_code_info")
    (ROOT / "protos/baseline.binpb").write_bytes(contract.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
