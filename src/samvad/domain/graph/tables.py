"""Nodes of Meta's graph that are neither numbers, accounts nor templates: flows, groups, uploads, QR codes."""

from sqlalchemy import Column, Table, Text

from samvad.storage.columns import Millis, metadata

graph_nodes = Table(
    "graph_node",
    metadata,
    Column("id", Text, primary_key=True),  # Meta's id
    Column("team_id", Text, nullable=False),
    Column("waba_id", Text, nullable=False),  # whose token opens it
    Column("learned_at", Millis, nullable=False),
)
