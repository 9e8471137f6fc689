"""Lets a client send back what it read: unchanged read-only fields are ignored in bodies."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, model_validator

from event_trigger.errors import FieldError, Invalid, pointer
from event_trigger.instants import parse_instant
from event_trigger.web.changes import is_same
from event_trigger.web.schemas import JsonObject, RequestModel


class SentBack(RequestModel):
    """Base of bodies that may hold the read-only fields of `answer`, which are kept apart."""

    answer: ClassVar[type[BaseModel]]
    instead: ClassVar[Mapping[str, str]] = {}  # field -> how else it is changed, as a sentence
    _sent: JsonObject = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_apart(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict):
            return handler(value)
        read_only = cls.answer.model_fields.keys() - cls.model_fields.keys()
        body = handler({name: one for name, one in value.items() if name not in read_only})
        body._sent = {name: one for name, one in value.items() if name in read_only}
        return body

    @property
    def sent_back(self) -> Mapping[str, Any]:
        """The read-only fields of the body."""
        return self._sent

    def check_sent_back(
        self, shown: Mapping[str, Any], was_shown: Callable[[str, Any], bool] = lambda *_: False
    ) -> None:
        """Raises Invalid at each read-only field that is not as it is shown now.

        `was_shown` accepts more values: those that were shown before, and have moved on since.
        """
        wrong = [
            name
            for name, value in self._sent.items()
            if not (is_same_shown(value, shown.get(name)) or was_shown(name, value))
        ]
        if wrong:
            errors = [FieldError("pointer", pointer(name), self._advice(name)) for name in wrong]
            detail = (
                errors[0].detail if len(errors) == 1 else f"{len(errors)} fields are read-only."
            )
            raise Invalid(detail, errors=errors)

    def _advice(self, name: str) -> str:
        otherwise = self.instead.get(name, "Leave it out, or read it again.")
        return f"This is read-only, and not as it is now. {otherwise}"


def is_same_shown(sent: Any, shown: Any) -> bool:
    """Compares a JSON value with the one that is shown; an instant may be spelt otherwise."""
    if is_same(sent, shown):
        return True
    at = instant_in(sent)
    return at is not None and at == instant_in(shown)


def instant_in(value: Any) -> datetime | None:
    """Reads an instant, or None of anything else."""
    try:
        return parse_instant(value)
    except ValueError:
        return None
