"""Pull jobs and their cursors"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pull_cursor",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("start_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("due_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("ran_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("succeeded_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("unreadable", sa.Integer(), nullable=False),
        sa.Column("last_run", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("pull_cursor")
