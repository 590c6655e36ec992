"""Late items in the order in which they are served: read from the index, not sorted"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_review_item_age", "review_item")
    op.create_index("ix_review_item_age", "review_item", ["state", "created_at", "id", "priority"])


def downgrade() -> None:
    op.drop_index("ix_review_item_age", "review_item")
    op.create_index("ix_review_item_age", "review_item", ["state", "created_at", "priority"])
