"""Tries at signing in, and the addresses that reviewers know; what is known of sessions; when tokens end and were used"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_in_try",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("free_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("tried_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "account", "address"),
    )
    op.create_index("ix_sign_in_try_tried_at", "sign_in_try", ["tried_at"])
    op.create_table(
        "known_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("last_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reviewer_id", "address"),
    )
    op.add_column("sign_in", sa.Column("began_at", service.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("sign_in", sa.Column("seen_at", service.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("sign_in", sa.Column("address", sa.String(), nullable=True))
    op.add_column("api_token", sa.Column("expires_at", service.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("api_token", sa.Column("used_at", service.db.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("api_token", "used_at")
    op.drop_column("api_token", "expires_at")
    op.drop_column("sign_in", "address")
    op.drop_column("sign_in", "seen_at")
    op.drop_column("sign_in", "began_at")
    op.drop_table("known_address")
    op.drop_table("sign_in_try")
