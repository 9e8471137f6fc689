"""Declares the tables of projects, which own all rows that have a shard, and of their members."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ProjectRole(StrEnum):
    """The rights of a member, from the fewest to all; each role has those of the one before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    OWNER = "owner"


class Project(Base):
    """A row is one project. `owner_id` in other tables is the id of the project that owns a row.

    The project that a user has from the start has the user's id; all others take theirs from the
    same sequence. After `deleted_at` a project answers as one that does not exist, until a job has
    deleted its rows, and then this one. `erased_emails` are the spellings of the address of an
    erased user, whose own project it was: the job also takes them out of the audit log.
    """

    __tablename__ = "projects"
    audited_as, audited, audited_secrets = "project", ("name", "deleted_at"), ()

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    erased_emails: Mapped[list[str] | None] = mapped_column(ARRAY(Text))

    __table_args__ = (
        Index("ix_projects_deleted", "id", postgresql_where=text("deleted_at IS NOT NULL")),
    )


# for reads of all projects: the rows of a deleted one stay until the job comes to them
NOT_OF_DELETED_PROJECTS = "owner_id NOT IN (SELECT id FROM projects WHERE deleted_at IS NOT NULL)"


class ProjectMember(Base):
    """A row is one user's role in one project."""

    __tablename__ = "project_members"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Invitation(Base):
    """A row is one link that adds a member, once and until `expires_at`.

    Only the SHA-256 of its token is stored. With `email`, only that account may accept it.
    """

    __tablename__ = "invitations"
    audited_as, audited_secrets = "invitation", ()
    audited = ("role", "email", "expires_at", "accepted_at")

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    role: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    made_by: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
