"""An operation is imported and analysed at its first call, once, beside the event loop."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema
from starlette.routing import BaseRoute

import event_trigger
from event_trigger.api import built_api
from event_trigger.web.routes import LazyRoute
from tests.support.processes import environment

PACKAGE = Path(event_trigger.__file__).parent
MAKES_ROUTERS = re.compile(r"\b(?:APIRouter|strict_router)\(")


async def test_many_first_calls_wait_for_one_analysis_beside_the_loop() -> None:
    analysed_by: list[threading.Thread] = []

    class Word(str):
        @classmethod
        def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            analysed_by.append(threading.current_thread())
            return handler(str)

    router = APIRouter(route_class=LazyRoute)

    @router.get("/words/{word}")
    async def read(word: Word) -> str:
        return word.upper()

    api = FastAPI(routes=router.routes)
    assert analysed_by == []
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        answers = await asyncio.gather(*(client.get("/words/one") for _ in range(10)))

    assert {answer.json() for answer in answers} == {"ONE"}
    assert len(analysed_by) == 1
    assert analysed_by[0] is not threading.current_thread()


async def test_an_operation_whose_analysis_failed_is_analysed_at_the_next_call() -> None:
    failures = [OSError("too many open files")]

    class Word(str):
        @classmethod
        def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            if failures:
                raise failures.pop()
            return handler(str)

    router = APIRouter(route_class=LazyRoute)

    @router.get("/words/{word}")
    async def read(word: Word) -> str:
        return word.upper()

    transport = httpx.ASGITransport(FastAPI(routes=router.routes), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        statuses = [(await client.get("/words/one")).status_code for _ in range(2)]

    assert statuses == [500, 200]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


def operations_of(routes: Iterable[BaseRoute]) -> list[tuple[str, str]]:
    found = [one for one in routes if isinstance(one, LazyRoute)]
    return sorted((" ".join(sorted(one.methods or ())), one.path) for one in found)


def test_every_operation_of_every_router_is_listed() -> None:
    routers = {
        id(one): one
        for file in PACKAGE.rglob("*.py")
        if MAKES_ROUTERS.search(file.read_text())
        for one in vars(import_module(module_of(file))).values()
        if isinstance(one, APIRouter)
    }
    made = [route for router in routers.values() for route in router.routes]

    assert operations_of(built_api().routes) == operations_of(made)
    assert len(operations_of(made)) == len(made) > 130


def test_an_application_is_made_without_the_modules_of_its_operations() -> None:
    code = (
        "import sys; from event_trigger.api import built_api; built_api();"
        " print(*(one for one in sys.modules if one.endswith('.router')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )

    assert ended.stdout.split() == []
