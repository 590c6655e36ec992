"""Clusters settled by one decision, and the impact of articles"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdict", sa.Column("settles", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("verdict", sa.Column("settled_by", sa.Integer(), nullable=True))
    op.create_index("ix_verdict_settled_by", "verdict", ["settled_by"])
    op.create_table(
        "impact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("article_id", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("variants", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("found", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("asked_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("computed_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("due_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_impact_article_id", "impact", ["article_id"])
    op.create_index("ix_impact_asked_at", "impact", ["asked_at"])
    op.create_index("ix_impact_due_at", "impact", ["due_at"])
    op.create_table(
        "watch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("article_version_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("questions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("clusters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("published_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_exchange_id", sa.Integer(), nullable=False),
        sa.Column("reopened_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("due_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["article_version_id"], ["article_version.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("article_version_id"),
    )
    op.create_index("ix_watch_item_id", "watch", ["item_id"])
    op.create_index("ix_watch_published_at", "watch", ["published_at"])
    op.create_index("ix_watch_due_at", "watch", ["due_at"])
    op.create_table(
        "watched",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("watch_id", sa.Integer(), nullable=False),
        sa.Column("exchange_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["watch_id"], ["watch.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchange.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("watch_id", "exchange_id"),
    )
    op.create_index("ix_watched_exchange_id", "watched", ["exchange_id"])


def downgrade() -> None:
    op.drop_table("watched")
    op.drop_table("watch")
    op.drop_table("impact")
    op.drop_index("ix_verdict_settled_by", "verdict")
    op.drop_column("verdict", "settled_by")
    op.drop_column("verdict", "settles")
