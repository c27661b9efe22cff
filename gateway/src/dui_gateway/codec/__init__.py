"""JSON of the contract: one function per message type, made once from its descriptor."""

from dui_gateway.codec.decode import Decoder, Patch, decoder, patcher
from dui_gateway.codec.encode import Encoder, encoder

__all__ = ["Decoder", "Encoder", "Patch", "decoder", "encoder", "patcher"]
