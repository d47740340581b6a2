"""Alembic's entry: the connection is handed in by samvad.storage.schema."""

from alembic import context

from samvad.storage.columns import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
