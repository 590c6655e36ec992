"""What is forgotten, and how old a conversation is; what an answer was compared with as a column"""

import sqlalchemy as sa
from alembic import op

import service.db

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KEEPS = sa.text("forgotten_at IS NULL")
_FORGOTTEN = sa.text("forgotten_at IS NOT NULL")
_COMPARED = sa.text("other_id IS NOT NULL")
# Times to come count as the time of receipt: a platform's wrong clock must not keep a conversation for ever.
_LAST_EVENT = """
    UPDATE conversation SET last_event_at = coalesce(
        (SELECT max(coalesce(turn.edited_at, turn.at, turn.received_at)) FROM turn
         WHERE turn.conversation_id = conversation.id AND coalesce(turn.edited_at, turn.at, turn.received_at) <= :now),
        received_at)
"""
_OTHER = {
    "sqlite": """
        UPDATE evidence SET other_id = json_extract(detail, '$.key')
        WHERE name = 'answer_consistency' AND json_type(detail, '$.key') = 'integer'
    """,
    "postgresql": """
        UPDATE evidence SET other_id = (detail ->> 'key')::integer
        WHERE name = 'answer_consistency' AND json_typeof(detail -> 'key') = 'number'
    """,
}


def upgrade() -> None:
    for name in ("last_event_at", "forgotten_at"):
        op.add_column("conversation", sa.Column(name, service.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("conversation", sa.Column("forgotten_because", sa.String(), nullable=True))
    op.add_column("feedback", sa.Column("forgotten", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("exchange", sa.Column("forgotten", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("evidence", sa.Column("other_id", sa.Integer(), nullable=True))
    bind = op.get_bind()
    now = sa.func.strftime("%Y-%m-%d %H:%M:%f", "now") if bind.dialect.name == "sqlite" else sa.func.now()
    moment = bind.execute(sa.select(now)).scalar_one()
    bind.execute(sa.text(_LAST_EVENT), {"now": moment})
    bind.execute(sa.text(_OTHER[bind.dialect.name]))
    op.create_index("ix_conversation_last_event", "conversation", ["last_event_at"], sqlite_where=_KEEPS, postgresql_where=_KEEPS)
    op.create_index(
        "ix_conversation_forgotten", "conversation", ["forgotten_at"], sqlite_where=_FORGOTTEN, postgresql_where=_FORGOTTEN
    )
    op.create_index("ix_evidence_other", "evidence", ["other_id"], sqlite_where=_COMPARED, postgresql_where=_COMPARED)


def downgrade() -> None:
    op.drop_index("ix_evidence_other", "evidence")
    op.drop_index("ix_conversation_forgotten", "conversation")
    op.drop_index("ix_conversation_last_event", "conversation")
    op.drop_column("evidence", "other_id")
    op.drop_column("exchange", "forgotten")
    op.drop_column("feedback", "forgotten")
    for name in ("forgotten_because", "forgotten_at", "last_event_at"):
        op.drop_column("conversation", name)
