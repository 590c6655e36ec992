"""Removed turns, withdrawn feedback, and how deliveries ended"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turn", sa.Column("removed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("feedback", sa.Column("withdrawn", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "delivery_count",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("source", "outcome", "what"),
    )


def downgrade() -> None:
    op.drop_table("delivery_count")
    op.drop_column("feedback", "withdrawn")
    op.drop_column("turn", "removed")
