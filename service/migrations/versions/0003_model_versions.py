"""Which version of a model is live, how versions compare, and what rescoring looks for"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LATEST_IS_LIVE = """
    INSERT INTO live_model (kind, source, model_id, pinned)
    SELECT kind, source, id, false FROM model WHERE NOT EXISTS (
        SELECT 1 FROM model AS later WHERE later.kind = model.kind AND later.source = model.source
        AND (later.fitted_at > model.fitted_at OR (later.fitted_at = model.fitted_at AND later.id > model.id))
    )
"""


def upgrade() -> None:
    op.add_column("model", sa.Column("comparison", sa.JSON(), nullable=True))
    op.add_column("model", sa.Column("replaced_id", sa.Integer(), nullable=True))
    op.create_table(
        "live_model",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("claimed_until", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"]),
        sa.PrimaryKeyConstraint("kind", "source"),
    )
    op.execute(_LATEST_IS_LIVE)
    op.add_column("exchange", sa.Column("scored_by", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_exchange_scored_by", "exchange", ["source", "scored_by"])
    op.add_column("example", sa.Column("suspected", sa.String(), nullable=True))
    op.add_column("example", sa.Column("suspicion", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("example", "suspicion")
    op.drop_column("example", "suspected")
    op.drop_index("ix_exchange_scored_by", "exchange")
    op.drop_column("exchange", "scored_by")
    op.drop_table("live_model")
    op.drop_column("model", "replaced_id")
    op.drop_column("model", "comparison")
