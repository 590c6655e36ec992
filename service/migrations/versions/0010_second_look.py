"""What reviewers said of labels that look like slips, and the examples near those"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("example", sa.Column("near", sa.JSON(none_as_null=True), nullable=True))
    suspected = sa.text("suspected IS NOT NULL")
    op.create_index("ix_example_suspected", "example", ["suspicion"], sqlite_where=suspected, postgresql_where=suspected)
    op.create_table(
        "second_look",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("intent", sa.String(), nullable=False),
        sa.Column("chosen", sa.String(), nullable=False),
        sa.Column("suspected", sa.String(), nullable=True),
        sa.Column("suspicion", sa.Float(), nullable=True),
        sa.Column("near", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_second_look_text", "second_look", ["source", "content_hash"])
    op.create_index("ix_second_look_example", "second_look", ["example_id"])
    stands = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_second_look_stands",
        "second_look",
        ["source", "content_hash", "intent"],
        unique=True,
        sqlite_where=stands,
        postgresql_where=stands,
    )


def downgrade() -> None:
    op.drop_table("second_look")
    op.drop_index("ix_example_suspected", "example")
    op.drop_column("example", "near")
