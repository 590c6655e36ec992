"""Who may."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, time_column


class Scope(StrEnum):
    ingest = "ingest"
    review = "review"
    sync = "sync"
    admin = "admin"


class Reviewer(SQLModel, table=True):
    __tablename__ = "reviewer"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    password_hash: str
    is_admin: bool = False
    active: bool = True
    created_at: datetime = time_column(nullable=False)


class SignIn(SQLModel, table=True):
    """A reviewer's session; only the hash of the cookie's token is stored. `seen_at` is right to some minutes."""

    __tablename__ = "sign_in"

    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    reviewer_id: int = parent_column("reviewer.id")
    expires_at: datetime = time_column(nullable=False)
    began_at: datetime | None = time_column()
    seen_at: datetime | None = time_column()
    address: str | None = None


class TryKind(StrEnum):
    account = "account"
    address = "address"
    account_at_address = "account_at_address"


class SignInTry(SQLModel, table=True):
    """Failed tries at signing in: for an account, from an address, or for an account from an address that it knows.

    `account` is a short hash of the name that was typed (service/tries.py), empty where the row is of an address; `address` is
    empty where it is of an account.
    """

    __tablename__ = "sign_in_try"
    __table_args__ = (UniqueConstraint("kind", "account", "address"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: TryKind = Field(sa_column=Column(String(), nullable=False))
    account: str
    address: str
    failures: int
    free_at: datetime = time_column(nullable=False)
    tried_at: datetime = time_column(nullable=False, index=True)
    wrong: int
    refused: int


class KnownAddress(SQLModel, table=True):
    """Where a reviewer has signed in from lately."""

    __tablename__ = "known_address"
    __table_args__ = (UniqueConstraint("reviewer_id", "address"),)

    id: int | None = Field(default=None, primary_key=True)
    reviewer_id: int = parent_column("reviewer.id", index=False)
    address: str
    last_at: datetime = time_column(nullable=False)


class ApiToken(SQLModel, table=True):
    __tablename__ = "api_token"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), unique=True, nullable=False))
    scopes: list[str] = json_column(nullable=False)
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id")))
    created_at: datetime = time_column(nullable=False)
    revoked_at: datetime | None = time_column()
    expires_at: datetime | None = time_column()
    used_at: datetime | None = time_column()


class ImportProgress(SQLModel, table=True):
    """How far an import of a file came; saved in the transaction of the rows it covers."""

    __tablename__ = "import_progress"

    file_digest: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    lines: int
    updated_at: datetime = time_column(nullable=False)
