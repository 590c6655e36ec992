"""Queues, assignments, reviews by several, and what is said about an item"""

from typing import Any

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXTS = ("source", "channel", "intent")
_TIMES = ("claimed_at", "assigned_at", "assigned_until")
_FEW: dict[str, tuple[list[Any], str]] = {
    "ix_review_item_held": (["reviewer_id", "state", "claimed_until"], "claimed_until IS NOT NULL"),
    "ix_review_item_assigned": (["assigned_to", "state", sa.text("priority DESC"), "id"], "assigned_to IS NOT NULL"),
}
_AS_THE_EXCHANGE = """
    UPDATE review_item SET
    source = (SELECT source FROM exchange WHERE exchange.id = review_item.exchange_id),
    intent = (SELECT intent FROM exchange WHERE exchange.id = review_item.exchange_id),
    channel = (
        SELECT conversation.channel FROM exchange JOIN conversation ON conversation.id = exchange.conversation_id
        WHERE exchange.id = review_item.exchange_id
    )
"""


def upgrade() -> None:
    _columns()
    op.create_table(
        "named_queue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("signal", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("strategy", sa.String(), nullable=True),
        sa.Column("intent", sa.String(), nullable=True),
        sa.Column("channel", sa.String(), nullable=True),
        sa.Column("least_priority", sa.Float(), nullable=True),
        sa.Column("budget", sa.Integer(), nullable=True),
        sa.Column("reviewers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("adjudicators", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("reviews", sa.Integer(), nullable=False),
        sa.Column("calibration_share", sa.Float(), nullable=False),
        sa.Column("due_hours", sa.Float(), nullable=True),
        sa.Column("created_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "opinion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("intent", sa.String(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("question", sa.Text(), nullable=True),
        sa.Column("article_id", sa.Integer(), nullable=True),
        sa.Column("causes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("claimed_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("decided_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("item_id", "reviewer_id", "kind", "fence"),
    )
    op.create_index("ix_opinion_reviewer", "opinion", ["reviewer_id", "decided_at"])
    op.create_table(
        "known_item",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("marked_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"]),
        sa.PrimaryKeyConstraint("item_id"),
    )
    op.create_table(
        "calibration",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("claimed_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("item_id", "reviewer_id"),
    )
    op.create_index("ix_calibration_held", "calibration", ["reviewer_id", "claimed_until"])
    op.create_table(
        "comment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("item_id", "reviewer_id", "key"),
    )
    op.create_table(
        "mention",
        sa.Column("comment_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("read_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["comment_id"], ["comment.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("comment_id", "reviewer_id"),
    )
    op.create_index("ix_mention_unread", "mention", ["reviewer_id", "read_at"])


def _columns() -> None:
    for name in _TEXTS:
        op.add_column("review_item", sa.Column(name, sa.String(), nullable=True))
    for name in _TIMES:
        op.add_column("review_item", sa.Column(name, service.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("review_item", sa.Column("disputed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("review_item", sa.Column("assigned_to", sa.Integer(), nullable=True))
    op.execute(_AS_THE_EXCHANGE)
    for name in (*_TEXTS, "strategy"):
        op.create_index(f"ix_review_item_{name}", "review_item", ["state", name, sa.text("priority DESC"), "id"])
    op.create_index("ix_review_item_age", "review_item", ["state", "created_at", "priority"])
    # The queue's order word by word: where many items are of one priority, no claim sorts them.
    op.drop_index("ix_review_item_queue", "review_item")
    op.create_index("ix_review_item_queue", "review_item", ["state", sa.text("priority DESC"), "id"])
    op.drop_index("ix_review_item_reviewer_id", "review_item")
    op.create_index("ix_review_item_oldest", "review_item", ["state", "strategy", "id"])
    for name, (columns, condition) in _FEW.items():
        where = sa.text(condition)
        op.create_index(name, "review_item", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_verdict_reviewer", "verdict", ["reviewer_id", "decided_at"])
    op.add_column("skip", sa.Column("skipped_at", service.db.UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE skip SET skipped_at = (SELECT created_at FROM review_item WHERE review_item.id = skip.item_id)")


def downgrade() -> None:
    for name in ("mention", "comment", "calibration", "known_item", "opinion", "named_queue"):
        op.drop_table(name)
    op.drop_column("skip", "skipped_at")
    op.drop_index("ix_verdict_reviewer", "verdict")
    for name in (*_FEW, "ix_review_item_strategy", "ix_review_item_oldest"):
        op.drop_index(name, "review_item")
    op.create_index("ix_review_item_reviewer_id", "review_item", ["reviewer_id"])
    for name in ("ix_review_item_queue", "ix_review_item_age"):
        op.drop_index(name, "review_item")
    for name in _TEXTS:
        op.drop_index(f"ix_review_item_{name}", "review_item")
    op.create_index("ix_review_item_queue", "review_item", ["state", "priority", "id"])
    for name in ("assigned_to", "disputed", *_TIMES, *_TEXTS):
        op.drop_column("review_item", name)
