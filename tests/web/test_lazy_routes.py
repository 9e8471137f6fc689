"""An operation is analysed at its first call, once, and not by the thread of the event loop."""

import asyncio
import threading
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from event_trigger.web.lazy_routes import LazyRoute


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
