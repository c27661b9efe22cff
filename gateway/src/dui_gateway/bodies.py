"""Reading what callers send. A read waits for as long as the sender likes and cannot be interrupted: a body that does not come
ends with its connection, which `connections` ends."""

from __future__ import annotations

from dui_kit.errors import Refusal
from flask import Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from dui_gateway import texts

# So much of a body that is refused is read and thrown away.
MAX_DISCARDED_BYTES = 32 << 20
_PIECE_BYTES = 65_536
# Set once nothing of the body is left in the connection.
_DONE = "dui.body_done"


def announced(request: Request) -> bool:
    """Whether the caller said that a body follows."""
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def read(request: Request, limit: int) -> bytes:
    """The whole body. Raises RequestEntityTooLarge beyond `limit`, also when the caller sends it in pieces without telling its
    length, and Refusal when the connection ended before it was whole."""
    length = request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    # One byte more than the limit tells that a body in pieces is too long.
    source, left = request.environ["wsgi.input"], limit + 1 if length is None else length
    pieces = []
    while left > 0 and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if length is None and left <= 0:
        raise RequestEntityTooLarge
    request.environ[_DONE] = True
    if length is not None and left > 0:
        raise Refusal(texts.BODY_INCOMPLETE)
    return b"".join(pieces)


def discard(request: Request) -> None:
    """Reads what is left of a body that is refused, up to a limit. A server that answers and closes in the middle of a body
    makes the caller see a broken connection instead of the answer."""
    if not announced(request) or request.environ.get(_DONE):
        return
    source, left = request.environ["wsgi.input"], MAX_DISCARDED_BYTES
    while left > 0 and (piece := source.read(min(left, _PIECE_BYTES))):
        left -= len(piece)
    request.environ[_DONE] = left > 0


def close_unless_read(request: Request, answer: Response) -> None:
    """Ends the connection with this answer when something of the body may still come. Nobody reads it: a caller who says that a
    body follows, and sends nothing, would hold a thread."""
    if announced(request) and not request.environ.get(_DONE):
        answer.headers["Connection"] = "close"
