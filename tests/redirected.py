"""Carries what a client means for Meta to a door of ours."""

import httpx


class Redirected(httpx.HTTPTransport):
    """Only what goes to Meta changes its way; all else stays as it is."""

    def __init__(self, door: str) -> None:
        super().__init__()
        self._door = httpx.URL(door)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.endswith("facebook.com"):
            door = self._door
            path = door.raw_path.rstrip(b"/") + request.url.raw_path
            request.url = request.url.copy_with(
                scheme=door.scheme, host=door.host, port=door.port, raw_path=path
            )
            request.headers["host"] = f"{door.host}:{door.port}"
        return super().handle_request(request)
