"""The signature Meta puts on every webhook: HMAC-SHA256 of the exact bytes, keyed with the app secret."""

import hmac

_PREFIX = b"sha256="
_HEX_DIGITS = 64


def sign(secret: str | bytes, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for these bytes: `sha256=<64 lower-case hex digits>`."""
    assert secret, "signing with an empty secret proves nothing"
    return "sha256=" + hmac.digest(_as_bytes(secret), body, "sha256").hex()


def verify(secret: str | bytes, body: bytes, header: str | bytes | None) -> bool:
    """Whether `header` is the signature of these bytes; takes the same time for any wrong header.

    Verify the bytes as they arrived: Meta escapes non-ASCII and sometimes `/`, so JSON parsed and written
    again has another signature. An unset secret verifies nothing.
    """
    if header is None or not secret:
        return False
    # Whatever is not ASCII cannot be a signature; it must not be an exception either.
    given = (header.encode("ascii", "replace") if isinstance(header, str) else header).strip()
    if not given.startswith(_PREFIX) or len(given) != len(_PREFIX) + _HEX_DIGITS:
        return False
    expected = hmac.digest(_as_bytes(secret), body, "sha256").hex().encode("ascii")
    return hmac.compare_digest(expected, given[len(_PREFIX) :].lower())


def _as_bytes(words: str | bytes) -> bytes:
    return words.encode("utf-8") if isinstance(words, str) else words
