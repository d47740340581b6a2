"""Bringing files home: Meta keeps those of customers for seven days, and their addresses for five minutes."""

from collections.abc import Sequence
from typing import Any

import structlog

from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.domain.media import queries
from samvad.domain.media.model import LARGEST, Expected, MediaFile, State, hex_of, key_of
from samvad.domain.waba import queries as waba
from samvad.jobs.queue import Job, enqueue
from samvad.kit.errors import NotFound, Refused, TooLarge, Unreachable
from samvad.storage import TROUBLE, Tx
from samvad.whatsapp.cloud_api import DEFAULT_VERSION

FETCH = "media.fetch"

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
BACK_OFF_MS = (
    *(SECOND, 5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR),
    *(24 * HOUR,) * 6,
)
"""For as long as Meta keeps the file; a day of trouble must not cost a customer's picture."""

MOST_ASKED = 20  # tokens of a team with which Meta is asked for an id nobody here has heard of

log = structlog.get_logger(__name__)


def expect(tx: Tx, files: Sequence[Expected], *, at: int) -> None:
    """Note the files of messages that were just stored, and promise to bring them; each once."""
    if files:
        fetch_later(tx, queries.add_expected(tx, files, at=at), at=at)


def fetch_later(tx: Tx, files: Sequence[tuple[str, str]], *, at: int, run_at: int | None = None) -> None:
    """Promise to bring files, named by team and id."""
    enqueue(tx, [Job(team_id, FETCH, {"media": it}) for team_id, it in files], at=at, run_at=run_at)


async def fetch(res: Resources, job: Job) -> None:
    """The job behind a file: brings it, or writes down why not and when it is tried again."""
    media_id = job.args["media"]
    file = await res.db.team(job.team_id).read(queries.find, media_id)
    if file is None or file.state == State.STORED:
        return
    try:
        await hold(res, job.team_id, media_id)
    except TROUBLE:
        raise  # nothing could be written down either; the job comes again by itself
    except Exception as error:  # Meta's no, the network, a full disk: all are the next attempt's concern
        await res.db.team(job.team_id).write(_failed, file, error, at=res.clock())


async def hold(res: Resources, team_id: str, media_id: str, *, anew: bool = False) -> MediaFile:
    """A file that we hold: from our own store, or else from Meta, whoever asks for it meanwhile.

    Raises Refused with Meta's words, NotFound when there is nobody to ask, Unreachable when Meta cannot be
    reached or sends something else than it announced. `anew`: our own copy is gone.
    """
    known = await res.db.team(team_id).read(queries.find, media_id)
    if known is not None and known.state == State.STORED and not anew:
        return known
    file: MediaFile = await res.downloads((team_id, media_id), lambda: _bring(res, team_id, media_id, known))
    return file


async def describe(
    res: Resources, team_id: str, media_id: str, *, version: str = DEFAULT_VERSION
) -> tuple[str, str, dict[str, Any]]:
    """Meta's own media object, with the plugin and the token it was asked with; an unknown id is asked of all.

    Its `url` is good for five minutes, so it is asked for anew each time. Raises as `hold` does.
    """
    known = await res.db.team(team_id).read(queries.find, media_id)
    refused: Refused | None = None
    for plugin_id, token in await _tokens(res, team_id, known):
        try:
            return plugin_id, token, await res.cloud.media(media_id, token=token, version=version)
        except Refused as error:
            refused = refused or error
    raise refused or NotFound(
        "Media not found; this team has no connected number that could be asked for it."
    )


async def _bring(res: Resources, team_id: str, media_id: str, known: MediaFile | None) -> MediaFile:
    plugin_id, token, said = await describe(res, team_id, media_id)
    url = said.get("url")
    if not isinstance(url, str):
        raise Unreachable("The Cloud API names no address for this file. Try again later.")
    async with res.cloud.download(url, token=token) as download:
        incoming = await res.blobs.take_in(download.pieces, most=LARGEST)
    announced = (known.sha256 if known else None) or hex_of(said.get("sha256"))
    if announced not in (None, incoming.sha256):
        await res.blobs.drop(incoming)
        raise Unreachable("What the Cloud API sent is not the file it announced: its SHA-256 differs.")
    await res.blobs.settle(incoming, key_of(team_id, incoming.sha256))
    now = res.clock()
    before = {"message_id": None, "mid": None, "mime_type": None, "filename": None, "attempts": 0}
    if known is not None:
        before = {name: getattr(known, name) for name in before}
    mime_type = said.get("mime_type")
    row = before | {
        "id": media_id,
        "plugin_id": plugin_id,
        "mime_type": mime_type if isinstance(mime_type, str) else before["mime_type"] or download.mime_type,
        "filename": before["filename"] or download.filename,
        "sha256": incoming.sha256,
        "size": incoming.size,
        "state": State.STORED,
        "attempts": (before["attempts"] or 0) + 1,
        "error": None,
        "retry_at": None,
        "fetched_at": now,
        "created_at": known.created_at if known else now,
        "updated_at": now,
    }
    return await res.db.team(team_id).write(_stored, row, at=now)


def _stored(tx: Tx, row: dict[str, Any], *, at: int) -> MediaFile:
    queries.put_stored(tx, row)
    record(tx, [Event(tx.team_id or "", "media.stored", row["id"])], at=at)
    file = queries.find(tx, row["id"])
    assert file is not None, "a file that was just written down is there"
    return file


def _failed(tx: Tx, file: MediaFile, error: Exception, *, at: int) -> None:
    """The reason where it can be seen, and the next attempt; both or neither."""
    final = isinstance(error, TooLarge) or file.attempts >= len(BACK_OFF_MS)
    retry_at = None if final else at + BACK_OFF_MS[file.attempts]
    why = str(error.args[0] if error.args else error)[:2000] or type(error).__name__
    log.warning("media.not_fetched", media=file.id, team=file.team_id, why=why, retry_at=retry_at)
    queries.change(
        tx,
        file.id,
        state=State.FAILED,
        attempts=file.attempts + 1,
        error=why,
        retry_at=retry_at,
        updated_at=at,
    )
    if retry_at is not None:
        fetch_later(tx, [(file.team_id, file.id)], at=at, run_at=retry_at)
    record(
        tx, [Event(file.team_id, "media.failed", file.id, data={"error": why, "retryAt": retry_at})], at=at
    )


async def _tokens(res: Resources, team_id: str, known: MediaFile | None) -> list[tuple[str, str]]:
    """Whom to ask: the plugin a file came by, or else every plugin of the team; its id, and each token it holds.

    A plugin has more than one where its WABAs were connected with different ones.
    """
    found = await res.db.team(team_id).read(waba.tokens_oldest_first)
    own = [it for it in found if known is not None and it[0] == known.plugin_id]
    opened = [(plugin_id, res.seal.open(sealed)) for plugin_id, sealed in (own or found)[:MOST_ASKED]]
    return list({token: (plugin_id, token) for plugin_id, token in reversed(opened)}.values())[::-1]
