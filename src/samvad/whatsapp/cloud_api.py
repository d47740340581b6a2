"""Meta's Cloud API over HTTP: one connection pool, a token per call, bounded answers, no retries.

A send ends in a value, because every end of it is something a message can live with:

    Accepted   Meta took it and named it
    Done       Meta did it and there is nothing to name (read receipts, typing)
    Refused    Meta said no; `refusal.ambiguous` says when it may have acted all the same
    NotSent    no connection could be opened, so Meta never heard of it: sending again is safe
    Unknown    it may have left, and nobody knows what became of it: never send again blindly

The Cloud API has no idempotency key, so nothing here repeats a request that may have left. Which of the two
last a failure is, follows from where it happened: before a connection stood, or after.

Everything else (`get`, `post`, `delete`, and the named calls) returns Meta's answer and raises the errors of
`samvad.kit.errors`. Tokens never appear in a repr, a reason or an error, even where Meta repeats them.
"""

import hmac
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from samvad.kit import errors as kit
from samvad.whatsapp import errors
from samvad.whatsapp.download import Download, download
from samvad.whatsapp.errors import NO_WAITS
from samvad.whatsapp.exchange import (
    SILENT,
    Answer,
    NotSent,
    Unknown,
    checked,
    no_answer,
    read,
    reason_of,
    waits_of,
    without_token,
)
from samvad.whatsapp.forward import Forwarded, forward
from samvad.whatsapp.outcomes import Json, Outcome, answer_or_raise, change, outcome

Params = Mapping[str, str | int] | None
Form = aiohttp.FormData | Mapping[str, str]

DEFAULT_VERSION = "v25.0"
TIMEOUT_S = 30.0
"""Meta's own rule of thumb for a send is 350 ms; a slow template edit takes seconds."""
CONNECT_TIMEOUT_S = 10.0
"""Shorter than the whole: a call that never got a connection must end as NotSent, not as Unknown."""
CONNECTIONS = 512
"""1,000 sends a second at 350 ms each keep 350 connections busy."""
KEEPALIVE_S = 15.0
"""Idle connections go before Meta closes them: a POST that meets a closing connection ends as Unknown."""
MAX_PAGES = 100
"""6,000 templates, the most an account may have, are 60 pages."""
PAGE_SIZE = 100
MAX_REMEMBERED = 4096
"""Headers and addresses kept ready; a busy installation has fewer tokens and numbers than this."""

TEMPLATE_FIELDS = (
    "id,name,language,status,category,sub_category,previous_category,parameter_format,components,"
    "quality_score,rejected_reason,library_template_name,cta_url_link_tracking_opted_out,message_send_ttl_seconds"
)
PHONE_NUMBER_FIELDS = (
    "id,verified_name,display_phone_number,quality_rating,code_verification_status,platform_type,throughput,"
    "status,name_status,account_mode,is_official_business_account,webhook_configuration,"
    "whatsapp_business_manager_messaging_limit,health_status"
)
WABA_FIELDS = (
    "id,name,currency,timezone_id,message_template_namespace,account_review_status,"
    "business_verification_status,country,ownership_type,health_status"
)


class CloudApi:
    """The Cloud API at `base_url`, such as https://graph.facebook.com; make one and share it.

    Its connections belong to the event loop of the first call. Close it when done, or use `async with`.
    """

    def __init__(
        self, base_url: str, *, timeout_s: float = TIMEOUT_S, connections: int = CONNECTIONS
    ) -> None:
        url = urlsplit(base_url)
        assert url.scheme in ("http", "https"), "the Cloud API's address begins with https:// or http://"
        assert url.hostname, "the Cloud API's address names a host"
        assert "@" not in url.netloc, "credentials are per call, never in the address"
        self._base = base_url.rstrip("/")
        connect_timeout_s = min(CONNECT_TIMEOUT_S, timeout_s / 2)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s
        )
        self._connections = connections
        self.on_invalid_token: Callable[[str], None] | None = None
        """Told of each token that Meta calls invalid (code 190), whatever the call was; it must be quick."""
        self.on_answer: Callable[[str, float], None] | None = None
        """Told what came of each call (a status like `200`, or `silence`), and the seconds it took."""
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._json_headers: dict[str, dict[str, str]] = {}
        self._message_urls: dict[tuple[str, str, str], str] = {}

    def __repr__(self) -> str:
        return f"CloudApi({self._base!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls still under way end as Unknown."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(
        self,
        phone_number_id: str,
        payload: bytes | Json,
        *,
        token: str,
        version: str = DEFAULT_VERSION,
        edge: str = "messages",
    ) -> Outcome:
        """POST a message, or a read receipt, from this phone number; `edge` may be `marketing_messages`.

        Meta's own troubles (codes 1, 2, 131000, 131016) are Refused with `refusal.ambiguous`: the message may
        have been delivered. Any other error object is a certain no. A 5xx or a 408 without an error object,
        and a 2xx without a message id, are Unknown. Cancelling the call leaves the outcome just as unknown.
        """
        url = self._message_urls.get((phone_number_id, version, edge))
        if url is None:
            url = _remember(
                self._message_urls,
                (phone_number_id, version, edge),
                self._url(version, f"{_id(phone_number_id)}/{edge}"),
            )
        data = payload if type(payload) is bytes else msgspec.json.encode(payload)
        answer = await self._call("POST", url, token=token, data=data)
        if not isinstance(answer, Answer):
            return answer
        return outcome(answer)

    async def get(
        self,
        path: str,
        *,
        token: str,
        params: Params = None,
        version: str = DEFAULT_VERSION,
    ) -> Json:
        """GET a node or an edge. Raises kit.errors.Refused, or Unreachable when no answer came."""
        answer = await self._call("GET", self._url(version, path), token=token, params=params)
        match answer:
            case NotSent(reason) | Unknown(reason):
                # Reading changes nothing, so no answer is only an inconvenience: the caller may ask again.
                raise kit.Unreachable(f"The Cloud API could not be asked: {reason}.")
            case Answer():
                return answer_or_raise(answer, changes=False)

    async def post(
        self,
        path: str,
        *,
        token: str,
        json: Any = None,
        form: Form | None = None,
        params: Params = None,
        version: str = DEFAULT_VERSION,
    ) -> Json:
        """POST JSON or a form. Raises Refused, Unreachable (never left) or Ambiguous (may have acted)."""
        assert json is None or form is None, "a request has one body: json or form"
        url = self._url(version, path)
        if form is not None:
            sent = form if isinstance(form, aiohttp.FormData) else aiohttp.FormData(dict(form))
            return change(await self._call("POST", url, token=token, params=params, form=sent))
        data = b"" if json is None else msgspec.json.encode(json)
        return change(await self._call("POST", url, token=token, params=params, data=data))

    async def delete(
        self,
        path: str,
        *,
        token: str,
        json: Any = None,
        params: Params = None,
        version: str = DEFAULT_VERSION,
    ) -> Json:
        """DELETE a node or members of an edge. Raises as `post` does."""
        data = b"" if json is None else msgspec.json.encode(json)
        url = self._url(version, path)
        return change(await self._call("DELETE", url, token=token, params=params, data=data))

    async def get_all(
        self,
        path: str,
        *,
        token: str,
        params: Params = None,
        version: str = DEFAULT_VERSION,
        max_pages: int = MAX_PAGES,
    ) -> list[Json]:
        """Every item of an edge, page after page. Raises kit.errors.TooLarge rather than return a part.

        It follows the cursor, not the `next` address: that one carries the token in its query.
        """
        items: list[Json] = []
        asked: dict[str, str | int] = {"limit": PAGE_SIZE, **(params or {})}
        for _ in range(max_pages):
            page = await self.get(path, token=token, params=asked, version=version)
            data = page.get("data")
            if isinstance(data, list):
                items.extend(item for item in data if isinstance(item, dict))
            after = _next_cursor(page)
            if after is None:
                return items
            asked["after"] = after
        raise kit.TooLarge(
            f"The Cloud API has more than {max_pages} pages of {path}. Ask for fewer with a filter."
        )

    async def templates(
        self, waba_id: str, *, token: str, version: str = DEFAULT_VERSION, fields: str = TEMPLATE_FIELDS
    ) -> list[Json]:
        """Every message template of an account."""
        path = f"{_id(waba_id)}/message_templates"
        return await self.get_all(path, token=token, params={"fields": fields}, version=version)

    async def template(
        self, template_id: str, *, token: str, version: str = DEFAULT_VERSION, fields: str = TEMPLATE_FIELDS
    ) -> Json:
        """One message template."""
        return await self.get(_id(template_id), token=token, params={"fields": fields}, version=version)

    async def phone_numbers(
        self, waba_id: str, *, token: str, version: str = DEFAULT_VERSION, fields: str = PHONE_NUMBER_FIELDS
    ) -> list[Json]:
        """Every phone number of an account."""
        path = f"{_id(waba_id)}/phone_numbers"
        return await self.get_all(path, token=token, params={"fields": fields}, version=version)

    async def phone_number(
        self,
        phone_number_id: str,
        *,
        token: str,
        version: str = DEFAULT_VERSION,
        fields: str = PHONE_NUMBER_FIELDS,
    ) -> Json:
        """One phone number: its name, quality, limits and health."""
        return await self.get(_id(phone_number_id), token=token, params={"fields": fields}, version=version)

    async def waba(
        self, waba_id: str, *, token: str, version: str = DEFAULT_VERSION, fields: str = WABA_FIELDS
    ) -> Json:
        """One WhatsApp Business Account."""
        return await self.get(_id(waba_id), token=token, params={"fields": fields}, version=version)

    async def subscribe(
        self,
        waba_id: str,
        callback_url: str | None = None,
        verify_token: str | None = None,
        *,
        token: str,
        version: str = DEFAULT_VERSION,
    ) -> Json:
        """Have the account's webhooks sent to the app, at `callback_url` if one is given.

        Meta verifies the address at once by a GET with `verify_token`. Without an address an earlier override
        is cleared and the app's own address counts.
        """
        assert (callback_url is None) == (verify_token is None), (
            "the address and its verify token go together"
        )
        override = (
            {"override_callback_uri": callback_url, "verify_token": verify_token} if callback_url else None
        )
        return await self.post(f"{_id(waba_id)}/subscribed_apps", token=token, json=override, version=version)

    async def subscribed_apps(
        self, waba_id: str, *, token: str, version: str = DEFAULT_VERSION
    ) -> list[Json]:
        """The apps this account's webhooks are sent to, each with its `override_callback_uri` if it has one."""
        return await self.get_all(f"{_id(waba_id)}/subscribed_apps", token=token, version=version)

    async def debug_token(self, *, token: str, version: str = DEFAULT_VERSION) -> Json:
        """What Meta knows of a token: `is_valid`, `expires_at` (seconds, 0 for never), `scopes`, `app_id` …"""
        answer = await self.get("debug_token", token=token, params={"input_token": token}, version=version)
        data = answer.get("data")
        return data if isinstance(data, dict) else {}

    async def prove_app_secret(
        self, waba_id: str, app_secret: str, *, token: str, version: str = DEFAULT_VERSION
    ) -> bool:
        """Whether this is the secret of the app the token belongs to; Meta checks a proof wherever one is given."""
        proof = hmac.digest(app_secret.encode(), token.encode(), "sha256").hex()
        params = {"fields": "id", "appsecret_proof": proof}
        try:
            await self.get(_id(waba_id), token=token, params=params, version=version)
        except kit.Refused as error:
            if "appsecret_proof" in str(error.error.get("message", "")):
                return False
            raise
        return True

    async def time(self) -> int | None:
        """Meta's clock in milliseconds, to the second, from the `Date` of any answer of it; None if it has none.

        Raises kit.errors.Unreachable.
        """
        session = self._session or self._open()
        try:
            async with session.get(f"{self._base}/{DEFAULT_VERSION}/", allow_redirects=False) as response:
                date = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return None
        except SILENT as error:
            raise kit.Unreachable(f"The Cloud API could not be asked: {reason_of(error, '')}.") from error
        return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)

    @property
    def is_metas(self) -> bool:
        """Whether this is Meta itself, which delivers from outside, and not a sandbox beside us."""
        return (urlsplit(self._base).hostname or "").endswith("facebook.com")

    async def media(
        self,
        media_id: str,
        *,
        token: str,
        phone_number_id: str | None = None,
        version: str = DEFAULT_VERSION,
    ) -> Json:
        """Where a media file can be fetched (`url`, good for five minutes), its type, size and hash."""
        params = {"phone_number_id": _id(phone_number_id)} if phone_number_id else None
        return await self.get(_id(media_id), token=token, params=params, version=version)

    @asynccontextmanager
    async def download(self, url: str, *, token: str) -> AsyncIterator[Download]:
        """The file at the `url` of `media`, while the context is open; never all of it in memory.

        Raises Unreachable, also while its pieces are read.
        """
        if self.is_metas and not url.startswith("https://"):
            raise kit.Unreachable(
                "The Cloud API names an address for the file that our token must not go to."
            )
        session = self._session or self._open()
        async with download(session, url, token=token, timeout=self._timeout) as file:
            yield file

    async def forward(
        self,
        method: str,
        path: str,
        *,
        token: str,
        query: Sequence[tuple[str, str]] = (),
        body: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = DEFAULT_VERSION,
    ) -> Forwarded | NotSent | Unknown:
        """Pass a request through, whatever it is; `headers` describe its body.

        A resumable upload wants its token named OAuth; that is the only word Meta spells differently.
        """
        scheme = "OAuth" if path.startswith("upload:") else "Bearer"
        url = URL(self._url(version, path)).with_query(list(query))
        sent = {**(headers or {}), "Authorization": f"{scheme} {checked(token)}"}
        session = self._session or self._open()
        answer = await forward(session, method, url, headers=sent, body=body, token=token)
        if isinstance(answer, Forwarded) and not answer.ok:
            self._notice_token(answer.body, token)
        return answer

    async def _call(
        self,
        method: str,
        url: str,
        *,
        token: str,
        params: Params = None,
        data: bytes | None = None,
        form: aiohttp.FormData | None = None,
    ) -> Answer | NotSent | Unknown:
        """One request and its whole answer; a redirect is not followed, for it would carry the token away."""
        headers = self._json_headers.get(token)
        if headers is None:
            headers = _remember(self._json_headers, token, _headers(token))
        if not data:  # a GET, a form (which names its own type), or an empty body
            headers = {"Authorization": headers["Authorization"]}
        session = self._session or self._open()
        began = time.monotonic()
        try:
            async with session.request(
                method,
                url,
                params=params,
                data=form if form is not None else data,
                headers=headers,
                allow_redirects=False,
            ) as response:
                body = await read(response)
                waits = NO_WAITS if response.ok else waits_of(response.headers)
                if not response.ok:
                    self._notice_token(body, token)
                if self.on_answer is not None:
                    self.on_answer(str(response.status), time.monotonic() - began)
                return Answer(response.status, without_token(body, token), body is None, waits)
        except SILENT as error:
            if self.on_answer is not None:
                self.on_answer("silence", time.monotonic() - began)
            return no_answer(error, token)

    def _notice_token(self, body: bytes | None, token: str) -> None:
        if self.on_invalid_token is not None and body and errors.calls_token_invalid(body):
            self.on_invalid_token(token)

    def _open(self) -> aiohttp.ClientSession:
        assert not self._closed, "this CloudApi is closed"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60
            ),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            headers={"User-Agent": "samvad", "Accept": "application/json"},
        )
        return self._session

    def _url(self, version: str, path: str) -> str:
        if _VERSION.fullmatch(version) is None:
            raise kit.BadRequest(f"{version[:20]!r} is no version of the Cloud API. Write it like v25.0.")
        assert _PATH.fullmatch(path), "a path is ids and edge names with slashes between; the rest is params"
        return f"{self._base}/{version}/{path}"


_VERSION = re.compile(r"v\d{1,3}\.\d{1,2}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
# A dot inside a step is Meta's (ids of uploads); a step that begins with one could climb out of the path.
_PATH = re.compile(r"[A-Za-z0-9_:=-][A-Za-z0-9_:=.-]*(?:/[A-Za-z0-9_:=-][A-Za-z0-9_:=.-]*)*")


def is_version(given: str) -> bool:
    """Whether it looks like a version of the Cloud API, such as v25.0."""
    return _VERSION.fullmatch(given) is not None


def _next_cursor(page: Json) -> str | None:
    """Where the next page begins. Meta gives cursors always, and `next` only when there is more."""
    paging = page.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) and after else None


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {checked(token)}", "Content-Type": "application/json"}


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> Any:
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def _id(given: str) -> str:
    """An id that can stand in a path, so that nobody's input reaches another node or edge."""
    if _ID.fullmatch(given) is None:
        raise kit.BadRequest(f"{given[:40]!r} is no id of the Cloud API.")
    return given
