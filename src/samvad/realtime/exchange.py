"""What the processes on one database tell each other: that there is work, and who is the foreman.

The same signature twice: `Exchange` is that of a process by itself, `realtime.postgres` has the other.
"""

from sqlalchemy import make_url

from samvad.realtime.bell import Bell


class Exchange:
    """Of a process that is alone: a bell rings here, and it is the foreman."""

    def bell(self, name: str) -> Bell:
        """The bell of this name; a process has one of each."""
        return Bell()

    def is_foreman(self) -> bool:
        """Whether this is the one process that folds and keeps the timers, as far as it knows."""
        return True

    async def open(self) -> None:
        """Begin to hear and to be heard; a database that is not there is tried again, and no error."""

    def resign(self) -> None:
        """Let another process be the foreman, at once."""

    async def close(self) -> None:
        """Say what is still to be said, then fall silent."""


def open_exchange(url: str, *, stands: bool) -> Exchange:
    """That of this database; `stands` says whether this process would be the foreman."""
    if make_url(url).get_backend_name() == "sqlite":
        return Exchange()
    from samvad.realtime.postgres import PostgresExchange

    return PostgresExchange(url, stands=stands)
