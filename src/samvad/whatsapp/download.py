"""A file at Meta, piece by piece."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from samvad.kit import errors as kit
from samvad.whatsapp.exchange import SILENT, checked, reason_of

TIMEOUT_S = 600.0
"""A hundred megabytes at 170 kB a second; a connection that falls silent ends sooner."""
PIECE = 64 * 1024
MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way: what its headers say, and its bytes as they come."""

    mime_type: str | None
    filename: str | None
    pieces: AsyncIterator[bytes]


@asynccontextmanager
async def download(
    session: aiohttp.ClientSession, url: str, *, token: str, timeout: aiohttp.ClientTimeout
) -> AsyncIterator[Download]:
    """The file at this address, while the context is open; `timeout` is what another call may take.

    Raises Unreachable. A redirect is followed, without the token where it leads to another host.
    """
    headers = {"Authorization": f"Bearer {checked(token)}", "Accept": "*/*"}
    patience = aiohttp.ClientTimeout(
        total=max(TIMEOUT_S, timeout.total or 0),
        connect=timeout.connect,
        sock_connect=timeout.sock_connect,
        sock_read=timeout.total,
    )
    try:
        async with session.get(
            url, headers=headers, timeout=patience, max_redirects=MAX_REDIRECTS
        ) as response:
            if response.status != 200:
                raise kit.Unreachable(
                    f"The Cloud API answered {response.status} for the file. Try again later."
                )
            named = response.content_disposition
            yield Download(
                response.headers.get("Content-Type"),
                named.filename if named else None,
                response.content.iter_chunked(PIECE),
            )
    except SILENT as error:
        raise kit.Unreachable(f"The file could not be fetched: {reason_of(error, token)}.") from None
