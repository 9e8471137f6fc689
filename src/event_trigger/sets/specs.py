"""Writes the configuration of members as JSON, in the form that a file has.

Fields come from the models of requests, so a new field of a trigger or a destination is compared,
shown and applied without a change here.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from event_trigger.destinations.certificates import ClientCertificateWrite
from event_trigger.destinations.schemas import DestinationBody
from event_trigger.models import OnCompletion
from event_trigger.triggers.schemas.requests import ScheduledTriggerCreate
from event_trigger.web.schemas import JsonObject

Names = Mapping[int, str]  # keys of destinations by their ids


def _defaults(model: type[BaseModel], *apart: str) -> Mapping[str, Any]:
    """Returns the fields and their defaults; fields that are `apart` are compared otherwise."""
    fields = model.model_fields.items()
    return MappingProxyType(
        {
            name: field.get_default(call_default_factory=True, validated_data={})
            for name, field in fields
            if name not in apart
        }
    )


TRIGGER_DEFAULTS = _defaults(ScheduledTriggerCreate, "key", "details", "destinations")
DESTINATION_DEFAULTS = _defaults(DestinationBody, "key", "headers", "secret", "client_certificate")


def trigger_spec(source: Any, details: JsonObject, destinations: Iterable[int | str]) -> JsonObject:
    """Writes a trigger, stored or wanted; `destinations` are keys, or ids where there is none."""
    spec = _given(source, TRIGGER_DEFAULTS)
    if spec.get("on_completion") == OnCompletion.KEEP:
        del spec["on_completion"]
    if meant := _meant(details):
        spec["details"] = meant
    if named := list(destinations):
        spec["destinations"] = named
    return spec


def destination_spec(source: Any) -> JsonObject:
    """Writes a destination, stored or wanted, without its headers and secrets."""
    spec, certificate = _given(source, DESTINATION_DEFAULTS), source.client_certificate
    if certificate is None:
        return spec
    is_wanted = isinstance(certificate, ClientCertificateWrite)
    return spec | {"client_certificate": certificate.shown if is_wanted else certificate}


def calendar_spec(dates: Iterable[str], ics: str | None) -> JsonObject:
    """Writes a calendar: its file, or else its dates."""
    return {"dates": [*dates]} if ics is None else {"ics": ics}


def named(ids: Iterable[int | str], keys: Names) -> list[int | str]:
    """Names destinations by their keys, where they have one."""
    return [keys.get(one, one) if isinstance(one, int) else one for one in ids]


def _given(source: Any, defaults: Mapping[str, Any]) -> JsonObject:
    values = {name: getattr(source, name) for name in defaults}
    return {
        name: value
        for name, value in values.items()
        if value is not None and value != defaults[name]
    }


def _meant(details: JsonObject) -> JsonObject:
    """Leaves out what means nothing: nulls, and a `recurring` that is false."""
    return {
        name: value
        for name, value in details.items()
        if value is not None and not (name == "recurring" and value is False)
    }
