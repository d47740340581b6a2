"""Every option, its default and why. Read by samvad.app and the command line only."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from samvad.kit.errors import BadRequest
from samvad.kit.sealing import new_sealing_key

META = "https://graph.facebook.com"
META_REPEATS_DAYS = 8  # seven, and one for whatever is late
ROLES = ("web", "worker", "all")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one installation runs. Each is also an environment variable: SAMVAD_ and its name in capitals."""

    data_dir: Path
    """Where the database file, the sealing key and the files live, when nothing else is said."""

    database_url: str = field(repr=False)  # it may hold a password
    """`sqlite:///…` (the default, one file) or `postgresql://…`."""

    secret_key: str = field(repr=False)
    """Seals Meta's tokens at rest. By default made once and kept in the data folder, beside the database."""

    public_url: str
    """Where the outside reaches us: in the callback URL Meta is given, and in public media addresses."""

    blob_url: str
    """Where files are kept: `file:///…` (the default), `s3://…`, `gs://…`, `az://…`."""

    role: str = "all"
    """What this process does: `web` answers HTTP, `worker` does everything behind it, `all` both (SQLite: always)."""

    graph_url: str = META
    """The Cloud API; the sandbox's address while you try things."""

    allow_private_webhooks: bool = False
    """Deliver webhooks to private addresses too. Off: whoever configures a URL could probe your network."""

    webhook_back_off_ms: tuple[int, ...] = ()
    """When failed webhooks are tried again; empty means the built-in 10 s to 24 h."""

    webhook_at_once: int = 8
    """Webhooks under way to one endpoint at the same time; each is of another chat."""

    webhook_pause_after_days: float = 3.0
    """An endpoint that takes nothing for so long is paused, and only probed from then on."""

    webhook_keep_days: float = 30.0
    """How long the log of webhooks keeps what was delivered or given up."""

    inbound_keep_days: float = 90.0
    """How long webhook bodies of Meta are kept once they are folded; 0 is for ever."""

    event_keep_days: float = 0.0
    """How long the event log goes back; 0 is for ever."""

    message_keep_days: float = 0.0
    """How long messages and their files are shown; 0 is for ever."""

    connect_frame_ancestors: str = "*"
    """Which sites may show the page for connecting a number in a frame: `*`, or `https://a.example https://b.example`."""

    upstream_timeout_s: float = 30.0
    """How long Meta may take to answer a send before it counts as ambiguous."""

    template_poll_s: float = 6 * 3600
    """How often each account's templates are read from Meta though no webhook asked for it; 0 for never."""

    number_poll_s: float = 3600.0
    """How often each account and its numbers are read from Meta though no webhook asked for it; 0 for never."""

    send_patience_s: float = 5.0
    """How long a send that Meta turns away for being too fast is tried again before the caller hears of it."""

    rate_limit: float = 0.0
    """Requests a second that one key may make, with a burst of as many; 0 is no limit. A key may have its own."""

    log_format: str = "json"
    """`json`, or `console` for a person."""

    metrics: bool = False
    """Whether `/metrics` is there. Off: its numbers are those of all teams, and the API's port is everybody's."""

    metrics_token: str = field(default="", repr=False)
    """What whoever asks for `/metrics` from elsewhere has to bear; from this machine itself nobody has to."""

    backup_dir: Path | None = None
    """Where `samvad backup` writes, and where the doctor looks; default `backups` in the data folder."""

    backup_max_age_h: float = 48.0
    """How old the newest backup may be before the doctor says so: a nightly one may fail once."""


def from_environment(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """The settings of this process; what is `given` (from the command line) wins over the environment.

    Raises BadRequest naming a variable that cannot be right.
    """
    env = os.environ if environ is None else environ
    said = {name: env[key] for name in _READ if (key := f"SAMVAD_{name.upper()}") in env}
    said |= {name: str(value) for name, value in given.items() if value is not None}
    data_dir = Path(said.get("data_dir", ".data")).absolute()
    keep = _keep(said)
    database_url = said.get("database_url") or f"sqlite:///{data_dir / 'samvad.db'}"
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        secret_key=said.get("secret_key") or _kept_key(data_dir),
        public_url=_url(said, "public_url", "http://127.0.0.1:8000"),
        blob_url=said.get("blob_url") or f"file://{data_dir / 'files'}",
        role=_role(said.get("role") or "all", database_url),
        graph_url=_url(said, "graph_url", META),
        allow_private_webhooks=said.get("allow_private_webhooks", "").lower() in ("1", "true", "yes", "on"),
        webhook_back_off_ms=_seconds(said.get("webhook_back_off_s", "")),
        webhook_at_once=round(_number(said, "webhook_at_once", 8, least=1)),
        webhook_pause_after_days=_number(said, "webhook_pause_after_days", 3.0),
        webhook_keep_days=keep["webhook"],
        inbound_keep_days=keep["inbound"],
        event_keep_days=keep["event"],
        message_keep_days=keep["message"],
        connect_frame_ancestors=_sites(said.get("connect_frame_ancestors", "*")),
        upstream_timeout_s=_number(said, "upstream_timeout_s", 30.0),
        template_poll_s=_number(said, "template_poll_s", 6 * 3600),
        number_poll_s=_number(said, "number_poll_s", 3600.0),
        send_patience_s=_number(said, "send_patience_s", 5.0),
        rate_limit=_number(said, "rate_limit", 0.0),
        log_format=said.get("log_format", "json"),
        metrics=said.get("metrics", "").lower() in ("1", "true", "yes", "on"),
        metrics_token=_token(said),
        backup_dir=Path(said["backup_dir"]).absolute() if said.get("backup_dir") else None,
        backup_max_age_h=_number(said, "backup_max_age_h", 48.0),
    )


_READ = (
    "data_dir",
    "database_url",
    "secret_key",
    "public_url",
    "blob_url",
    "role",
    "graph_url",
    "allow_private_webhooks",
    "webhook_back_off_s",
    "webhook_at_once",
    "webhook_pause_after_days",
    "webhook_keep_days",
    "inbound_keep_days",
    "event_keep_days",
    "message_keep_days",
    "connect_frame_ancestors",
    "upstream_timeout_s",
    "template_poll_s",
    "number_poll_s",
    "send_patience_s",
    "rate_limit",
    "log_format",
    "metrics",
    "metrics_token",
    "backup_dir",
    "backup_max_age_h",
)


def _kept_key(data_dir: Path) -> str:
    """The key in the data folder, made at the first start and readable by its owner only."""
    file = data_dir / "secret.key"
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        unfinished = data_dir / f".secret.key.{os.getpid()}"  # half a key would seal what nobody opens again
        unfinished.touch(mode=0o600)
        unfinished.write_text(new_sealing_key() + "\n", encoding="ascii")
        try:
            os.link(unfinished, file)
        except FileExistsError:
            pass  # another process was first: its key is the one
        except OSError:  # a file system without links
            unfinished.replace(file)
        unfinished.unlink(missing_ok=True)
    return file.read_text(encoding="ascii").strip()


def _url(said: Mapping[str, str], name: str, default: str) -> str:
    url = said.get(name, default).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise BadRequest(f"SAMVAD_{name.upper()} must begin with http:// or https://; got {url!r:.80}.")
    return url


def _role(word: str, database_url: str) -> str:
    if word not in ROLES:
        raise BadRequest(f"SAMVAD_ROLE must be {', '.join(ROLES[:-1])} or {ROLES[-1]}; got {word!r:.40}.")
    if word != "all" and database_url.startswith("sqlite"):
        raise BadRequest(
            f"The role {word} is for several processes on one PostgreSQL: a SQLite file belongs to one process, "
            "which does everything. Leave the role out, or set SAMVAD_DATABASE_URL to postgresql://…"
        )
    return word


def _sites(words: str) -> str:
    if not re.fullmatch(r"[\w\-.:/*' ]+", words, re.ASCII):  # it becomes a part of a header
        raise BadRequest(
            f"SAMVAD_CONNECT_FRAME_ANCESTORS must be * or sites with spaces between; got {words!r:.80}."
        )
    return words


def _token(said: Mapping[str, str]) -> str:
    token = said.get("metrics_token", "").strip()
    if token and not re.fullmatch(
        r"[\x21-\x7e]{16,}", token
    ):  # it stands in a header, and is all there is to guess
        raise BadRequest(
            "SAMVAD_METRICS_TOKEN must have at least 16 printable characters without spaces: `openssl rand -hex 32`."
        )
    return token


def _number(said: Mapping[str, str], name: str, default: float, *, least: float = 0.0) -> float:
    try:
        number = float(said.get(name, default))
    except ValueError:
        raise BadRequest(f"SAMVAD_{name.upper()} must be a number; got {said[name]!r:.40}.") from None
    if not least <= number < float("inf"):
        raise BadRequest(f"SAMVAD_{name.upper()} must be at least {least:g}; got {said[name]!r:.40}.")
    return number


def _keep(said: Mapping[str, str]) -> dict[str, float]:
    """How many days each log is kept, 0 for ever. A body of Meta's outlives the deliveries it is sent on with, and
    what it says outlives the body: else what is gone would be missed, or come back with a repetition.
    """
    keep = {name: _number(said, f"{name}_keep_days", 0.0) for name in ("inbound", "event", "message")}
    webhook = keep["webhook"] = _number(said, "webhook_keep_days", 30.0)
    least = max(webhook, META_REPEATS_DAYS)
    others = [days for name in ("event", "message") if (days := keep[name])]
    if "inbound_keep_days" not in said:
        keep["inbound"] = max(least, min([90.0, *others]))
    inbound = keep["inbound"]
    if inbound and inbound < least:
        raise BadRequest(
            f"SAMVAD_INBOUND_KEEP_DAYS must be 0, for ever, or at least {least:g}: Meta repeats a webhook for "
            f"{META_REPEATS_DAYS - 1} days, and what SAMVAD_WEBHOOK_KEEP_DAYS keeps is sent again with it; "
            f"got {inbound:g}."
        )
    for name in ("event", "message"):
        if keep[name] and not 0 < inbound <= keep[name]:
            raise BadRequest(
                f"SAMVAD_{name.upper()}_KEEP_DAYS must be 0, for ever, or at least as many as "
                f"SAMVAD_INBOUND_KEEP_DAYS ({f'{inbound:g}' if inbound else 'for ever'}); got {keep[name]:g}."
            )
    return keep


def _seconds(words: str) -> tuple[int, ...]:
    try:
        return tuple(round(float(word) * 1000) for word in words.split(",") if word.strip())
    except ValueError:
        raise BadRequest(
            f"SAMVAD_WEBHOOK_BACK_OFF_S must be seconds, like 10,60,300; got {words!r:.80}."
        ) from None
