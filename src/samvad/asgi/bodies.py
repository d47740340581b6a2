"""Reading a request: its headers, and its body within a limit."""

from starlette.types import Message, Receive, Scope

from samvad.kit.errors import BadRequest, TooLarge


def header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; refuses early where its length is told. Raises TooLarge."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
        body = b"".join(pieces)
    if message["type"] == "http.disconnect":
        raise BadRequest("The connection closed before the whole body had arrived.")
    if len(body) > limit:
        raise _too_large(limit)
    return body


def limited(scope: Scope, receive: Receive, limit: int) -> Receive:
    """The same `receive`, for a reader of streams; it raises TooLarge past the limit."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    seen = 0

    async def receive_within() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return receive_within


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes.")
