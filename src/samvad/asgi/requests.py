"""X-Request-Id: taken or made for each request, and told in its reply."""

from starlette.types import Message, Scope, Send

from samvad.asgi.bodies import header
from samvad.kit import tracing

HEADER = b"x-request-id"


def identified(scope: Scope, send: Send) -> Send:
    """Begin a request in the log; returns the `send` that tells its id to the client."""
    told = (HEADER, tracing.begin(header(scope, HEADER)).encode("latin-1"))

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*(it for it in message.get("headers", ()) if it[0] != HEADER), told]
        await send(message)

    return telling
