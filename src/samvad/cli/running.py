"""What commands share: the settings from flags, and a product opened for one short task."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from samvad import settings as options
from samvad.app import App
from samvad.domain.context import Resources
from samvad.settings import Settings
from samvad.storage.schema import migrate

T = TypeVar("T")


def calm_collector() -> None:
    """Let the garbage collector look less often, and never at what was there from the start.

    What we make lives briefly and has no cycles; a look at everything costs milliseconds (10 % of a fold).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def configure_logs(log_format: str) -> None:
    """Structured logs on stderr: JSON for machines, lines for people.

    A traceback shows lines of code and never the values in them: those hold tokens and what people write.
    """
    import logging
    import sys

    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    without_values = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    end = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if log_format == "console"
        else [without_values, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *end],  # type: ignore[list-item]
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def once(work: Callable[[Resources], Awaitable[T]], **given: object) -> T:
    """Open the database, do one thing, close it again."""
    settings = read_settings(**given)

    async def run() -> T:
        app = App(settings)
        try:
            await migrate(app.db)
            return await work(app.res)
        finally:
            await app.cloud.close()
            await app.res.blobs.close()
            await app.db.close()

    return asyncio.run(run())


def read_settings(**given: object) -> Settings:
    settings = options.from_environment(None, **given)
    configure_logs(settings.log_format)
    return settings
