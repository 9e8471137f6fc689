"""A simple service in Flask and SQLAlchemy with one commit per call, and the same checks as ours.

gunicorn runs it with `BENCH_DATABASE_URL` and `BENCH_SECRET`; `create_tables` makes its tables.
"""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from jose import JWTError, jwt
from sqlalchemy import JSON, BigInteger, Boolean, Identity, Index, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from event_trigger.triggers.merge_patch import merge_patch


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "bench_users"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    is_disabled: Mapped[bool] = mapped_column(Boolean)


class Trigger(Base):
    __tablename__ = "bench_triggers"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    fire_count: Mapped[int]
    last_fired_at: Mapped[datetime | None]


class Event(Base):
    __tablename__ = "bench_events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[int] = mapped_column(BigInteger)
    trigger_id: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str]
    triggered_at: Mapped[datetime]
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    is_test: Mapped[bool] = mapped_column(Boolean)
    __table_args__ = (
        Index("ix_bench_owner", "owner_id", "triggered_at"),
        Index("ix_bench_trigger", "trigger_id", "triggered_at"),
    )


def create_tables(url: str, *, triggers: int) -> None:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(User(id=1, is_disabled=False))
        session.add_all(
            Trigger(owner_id=1, status="active", payload={"from": "trigger"}, fire_count=0)
            for _ in range(triggers)
        )
    engine.dispose()


def read_trigger(trigger: Trigger) -> dict[str, Any]:
    last = trigger.last_fired_at
    return {
        "id": trigger.id,
        "status": trigger.status,
        "payload": trigger.payload,
        "fire_count": trigger.fire_count,
        "last_fired_at": None if last is None else last.isoformat(),
    }


def read_event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "trigger_id": event.trigger_id,
        "type": event.type,
        "triggered_at": event.triggered_at.isoformat(),
        "payload": event.payload,
        "is_test": event.is_test,
    }


def create_app() -> Flask:
    app = Flask(__name__)
    engine = create_engine(os.environ["BENCH_DATABASE_URL"], pool_size=32)
    sessions = sessionmaker(engine)
    secret = os.environ["BENCH_SECRET"]

    def caller(session: Session) -> User | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, secret, algorithms=["HS256"])
        except JWTError:
            return None
        user = session.get(User, int(claims["sub"]))
        return None if user is None or user.is_disabled else user

    @app.get("/triggers/<int:trigger_id>")
    def get_trigger(trigger_id: int) -> Response | tuple[Response, int]:
        with sessions() as session:
            user = caller(session)
            if user is None:
                return jsonify(detail="Sign in."), 401
            wanted = select(Trigger).where(Trigger.id == trigger_id, Trigger.owner_id == user.id)
            trigger = session.scalars(wanted).one_or_none()
            if trigger is None:
                return jsonify(detail="Not found."), 404
            return jsonify(read_trigger(trigger))

    @app.get("/events")
    def list_events() -> Response | tuple[Response, int]:
        limit = min(100, request.args.get("limit", 50, int))
        with sessions() as session:
            user = caller(session)
            if user is None:
                return jsonify(detail="Sign in."), 401
            newest = select(Event).where(Event.owner_id == user.id)
            newest = newest.order_by(Event.triggered_at.desc()).limit(limit)
            return jsonify([read_event(event) for event in session.scalars(newest)])

    @app.post("/triggers/<int:trigger_id>/trigger")
    def fire(trigger_id: int) -> Response | tuple[Response, int]:
        body = request.get_json()
        with sessions.begin() as session:
            user = caller(session)
            if user is None:
                return jsonify(detail="Sign in."), 401
            wanted = select(Trigger).where(Trigger.id == trigger_id, Trigger.owner_id == user.id)
            trigger = session.scalars(wanted.with_for_update()).one_or_none()
            if trigger is None:
                return jsonify(detail="Not found."), 404
            if trigger.status == "paused":
                return jsonify(detail="Paused."), 409
            now = datetime.now(UTC)
            event = Event(
                owner_id=user.id,
                trigger_id=trigger.id,
                type="api",
                triggered_at=now,
                payload=merge_patch(trigger.payload, body),
                is_test=False,
            )
            session.add(event)
            trigger.fire_count, trigger.last_fired_at = Trigger.fire_count + 1, now
            session.flush()
            location = f"/events/{event.id}"
        answer = jsonify(message="Event triggered")
        answer.headers["Location"] = location
        return answer

    return app
