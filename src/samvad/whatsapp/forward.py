"""A call of Meta's passed through as it came, and its answer as Meta gave it."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from samvad.whatsapp.errors import NO_WAITS, Waits
from samvad.whatsapp.exchange import (
    MAX_ANSWER_BYTES,
    SILENT,
    NotSent,
    Unknown,
    no_answer,
    read,
    waits_of,
    without_token,
)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Meta's whole answer to a request that was passed through; only our token is taken out of it."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    waits: Waits = NO_WAITS

    @property
    def ok(self) -> bool:
        return self.status < 400


async def forward(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Mapping[str, str],
    body: AsyncIterable[bytes] | None,
    token: str,
) -> Forwarded | NotSent | Unknown:
    """One request, which `headers` sign and describe; `token` is what the answer must not show."""
    try:
        async with session.request(
            method, url, data=body, headers=headers, allow_redirects=False
        ) as response:
            answered = await read(response)
            if answered is None:
                return Unknown(f"the Cloud API answered with more than {MAX_ANSWER_BYTES} bytes")
            kind = response.headers.get("Content-Type", "application/octet-stream")
            waits = NO_WAITS if response.ok else waits_of(response.headers)
            return Forwarded(response.status, kind, without_token(answered, token), waits)
    except SILENT as error:
        return no_answer(error, token)
