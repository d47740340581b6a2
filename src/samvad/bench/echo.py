"""The floor of all floors: an ASGI application that reads the body and says 200. Run as a process of its own."""

import argparse
from typing import Any

import uvicorn

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"14")],
}
_END = {"type": "http.response.body", "body": b"EVENT_RECEIVED"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """No routing, no framework, nothing kept."""
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send(_END)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m samvad.bench.echo")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        echo,
        host="127.0.0.1",
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
