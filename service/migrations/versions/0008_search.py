"""Search and saved filters"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

import service.db

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The words come cut and folded (service/search_words.py): `ascii` cuts them at spaces and at nothing else.
_SQLITE = (
    """
    CREATE VIRTUAL TABLE searchable_words
    USING fts5(words, content='searchable', content_rowid='conversation_id', tokenize='ascii')
    """,
    """
    CREATE TRIGGER searchable_added AFTER INSERT ON searchable BEGIN
        INSERT INTO searchable_words (rowid, words) VALUES (new.conversation_id, new.words);
    END
    """,
    """
    CREATE TRIGGER searchable_gone AFTER DELETE ON searchable BEGIN
        INSERT INTO searchable_words (searchable_words, rowid, words) VALUES ('delete', old.conversation_id, old.words);
    END
    """,
    """
    CREATE TRIGGER searchable_changed AFTER UPDATE OF words ON searchable BEGIN
        INSERT INTO searchable_words (searchable_words, rowid, words) VALUES ('delete', old.conversation_id, old.words);
        INSERT INTO searchable_words (rowid, words) VALUES (new.conversation_id, new.words);
    END
    """,
)
# A text that is changed or gone leaves the index at once, whoever changed it; the worker puts in what is left.
_LEAVES_SQLITE = """
    CREATE TRIGGER {table}_{name} AFTER {event} ON {table} {when} BEGIN
        DELETE FROM searchable WHERE conversation_id = old.conversation_id;
        UPDATE conversation SET searchable_revision = -1 - abs(searchable_revision) WHERE id = old.conversation_id;
    END
"""
_LEAVES_FUNCTION = """
    CREATE FUNCTION leave_search() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM searchable WHERE conversation_id = old.conversation_id;
        UPDATE conversation SET searchable_revision = -1 - abs(searchable_revision) WHERE id = old.conversation_id;
        RETURN NULL;
    END $$
"""
_LEAVES_POSTGRES = "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION leave_search()"
_POSTGRES = ("CREATE INDEX ix_searchable_words ON searchable USING gin (words)", _LEAVES_FUNCTION)
_TEXTS = {"turn": "text", "feedback": "comment"}


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    words = TSVECTOR() if postgresql else sa.Text()
    op.add_column("conversation", sa.Column("searchable_revision", sa.Integer(), nullable=False, server_default="-1"))
    due = sa.text("searchable_revision <> revision")
    op.create_index("ix_conversation_unsearchable", "conversation", ["id"], sqlite_where=due, postgresql_where=due)
    op.create_table(
        "searchable",
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=True),
        sa.Column("began_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("has_feedback", sa.Boolean(), nullable=False),
        sa.Column("words", words, nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("conversation_id"),
    )
    op.create_index("ix_searchable_began", "searchable", ["began_at", "conversation_id"])
    for column, name in (("source", "source"), ("channel", "channel"), ("has_feedback", "feedback")):
        op.create_index(f"ix_searchable_{name}", "searchable", [column, "began_at", "conversation_id"])
    op.create_table(
        "search_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("made_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("answered_at", service.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("found", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_search_request_key", "search_request", ["key"])
    op.create_index("ix_search_request_made_at", "search_request", ["made_at"])
    op.create_table(
        "saved_filter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("query", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", service.db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reviewer_id"], ["reviewer.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reviewer_id", "name"),
    )
    op.create_index("ix_exchange_by_priority", "exchange", ["priority", "id"])
    op.create_index("ix_exchange_intent", "exchange", ["intent", "conversation_id"])
    op.create_index("ix_verdict_label", "verdict", ["label"])
    for statement in _POSTGRES if postgresql else _SQLITE:
        op.execute(statement)
    for table, text in _TEXTS.items():
        for name, event, when in _leaving(text, postgresql):
            op.execute(
                (_LEAVES_POSTGRES if postgresql else _LEAVES_SQLITE).format(table=table, name=name, event=event, when=when)
            )


def _leaving(text: str, postgresql: bool) -> list[tuple[str, str, str]]:
    differs = "IS DISTINCT FROM" if postgresql else "IS NOT"
    return [
        ("text_changed", f"UPDATE OF {text}", f"WHEN (old.{text} {differs} new.{text})"),
        ("text_gone", "DELETE", ""),
    ]


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, text in _TEXTS.items():
        for name, _, _ in _leaving(text, postgresql):
            op.execute(f"DROP TRIGGER {table}_{name}" + (f" ON {table}" if postgresql else ""))
    op.execute("DROP FUNCTION leave_search()" if postgresql else "DROP TABLE searchable_words")
    op.drop_index("ix_verdict_label", "verdict")
    op.drop_index("ix_exchange_intent", "exchange")
    op.drop_index("ix_exchange_by_priority", "exchange")
    op.drop_table("saved_filter")
    op.drop_table("search_request")
    op.drop_table("searchable")
    op.drop_index("ix_conversation_unsearchable", "conversation")
    op.drop_column("conversation", "searchable_revision")
