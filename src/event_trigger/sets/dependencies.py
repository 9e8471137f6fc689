"""Gives operations on sets the parts that they need."""

from typing import Annotated

from fastapi import Depends, Request

from event_trigger.destinations.dependencies import FormCheckDep, VaultDep
from event_trigger.sets.applying import SetParts
from event_trigger.sets.forms import FormChecks
from event_trigger.triggers.dependencies import PortsDep
from event_trigger.web.cpu_bound import CpuBoundDep
from event_trigger.web.root_path import base_url
from event_trigger.web.session import SessionsDep
from event_trigger.web.state import SettingsDep


async def get_set_parts(
    sessions: SessionsDep,
    vault: VaultDep,
    ports: PortsDep,
    cpu_bound: CpuBoundDep,
    form_check: FormCheckDep,
    settings: SettingsDep,
) -> SetParts:
    return SetParts(
        sessions,
        vault,
        ports,
        cpu_bound,
        FormChecks(form_check),
        max_triggers=settings.max_triggers,
        max_destinations=settings.max_destinations,
        max_calendars=settings.max_calendars,
    )


async def get_hooks_url(request: Request) -> str:
    return f"{base_url(request)}/hooks/"


SetPartsDep = Annotated[SetParts, Depends(get_set_parts)]
HooksUrlDep = Annotated[str, Depends(get_hooks_url)]
