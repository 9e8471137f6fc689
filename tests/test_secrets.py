"""Neither the logs nor a dump of the database contain a secret."""

import subprocess
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url

from event_trigger.db.embedded.binaries import find_binaries
from tests.support.databases import connect
from tests.support.processes import open_folder, serving, with_database
from tests.support.services import PASSWORD, SECRET

pytestmark = pytest.mark.xdist_group("processes")

CANARY = "canary-5e0d"
ENCRYPTION_KEY = "another-secret-of-the-operator-0123456789"
SETTINGS = {
    "EVENT_TRIGGER_LOG_LEVEL": "debug",
    "EVENT_TRIGGER_LOG_FORMAT": "json",
    "EVENT_TRIGGER_OPEN_REGISTRATION": "true",
    "EVENT_TRIGGER_ENCRYPTION_KEY": ENCRYPTION_KEY,
    "EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8",
    "EVENT_TRIGGER_RETRY_AFTER": "0.1",
}


def dump(database_url: str) -> str:
    """Returns the output of `pg_dump`, in which bytes are hexadecimal."""
    url = make_url(database_url).set(drivername="postgresql")
    command = [str(find_binaries() / "pg_dump"), url.render_as_string(hide_password=False)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def forms_of(secret: str) -> list[str]:
    return [secret, secret.encode().hex()]


async def use_everything(client: httpx.AsyncClient) -> list[str]:
    """Uses every endpoint with secrets; returns the secrets that were sent or received."""
    account = {"email": "grace@example.com", "password": f"{CANARY}-password"}
    assert (await client.post("/auth/register", json=account)).status_code == 201
    form = {"username": account["email"], "password": account["password"]}
    tokens = (await client.post("/auth/token", data=form)).json()
    await client.post("/auth/token", data=form | {"password": f"{CANARY}-wrong"})
    renewed = await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    client.headers["Authorization"] = f"Bearer {renewed.json()['access_token']}"
    key = (await client.post("/auth/keys", json={"name": "k", "scopes": ["triggers:read"]})).json()
    await client.get("/triggers", headers={"X-API-Key": key["key"], "Authorization": "Bearer x"})
    await client.get("/triggers", headers={"X-API-Key": f"etk_{CANARY}-no-key"})
    body = {"url": "http://127.0.0.1:9/hook", "headers": {"X-Key": f"{CANARY}-header"}}
    destination = (await client.post("/destinations", json=body)).json()
    rotated = await client.post(f"/destinations/{destination['id']}/rotate-secret")
    made = await client.post(
        "/triggers",
        json={
            "type": "api",
            "details": {"hook": {"verify": "standard_webhooks"}},
            "destinations": [destination["id"]],
        },
    )
    trigger: dict[str, Any] = made.json()
    await client.post(trigger["hook_url"], json={"a": 1})
    await client.post(f"/triggers/{trigger['id']}/trigger", json={"a": 1})
    hook = (await client.post(f"/triggers/{trigger['id']}/hook/rotate")).json()
    for wrong in ("/triggers/x", "/events?cursor=x", "/nowhere"):
        await client.get(wrong)
    await client.post("/triggers", content=b'{"a": "' + CANARY.encode() + b"-body")
    hooks = [one["hook_url"].rsplit("/", 1)[1] for one in (trigger, hook)]
    return [
        account["password"],
        f"{CANARY}-wrong",
        tokens["access_token"],
        tokens["refresh_token"],
        renewed.json()["access_token"],
        renewed.json()["refresh_token"],
        key["key"],
        f"{CANARY}-no-key",
        f"{CANARY}-header",
        destination["secret"].removeprefix("whsec_"),
        rotated.json()["secret"].removeprefix("whsec_"),
        trigger["hook_secret"].removeprefix("whsec_"),
        hook["hook_secret"].removeprefix("whsec_"),
        *hooks,
        f"{CANARY}-body",
        PASSWORD,
        SECRET,
        ENCRYPTION_KEY,
    ]


async def test_no_secret_is_in_the_logs_nor_in_a_dump(database_url: str) -> None:
    with open_folder() as folder:
        settings = with_database(database_url) | SETTINGS
        async with serving(folder, **settings) as served, served.client() as client:
            secrets = await use_everything(client)
        logged = served.printed + served.logged
    dumped = dump(database_url)

    assert len(set(secrets)) == len(secrets) == 19
    assert "request" in logged
    assert "COPY public.destinations" in dumped
    for secret in secrets:
        for form in forms_of(secret):
            assert form not in logged, secret
            assert form not in dumped, secret


async def test_a_dump_would_show_what_is_not_hidden(database_url: str) -> None:
    connection = await connect(database_url)
    await connection.execute("UPDATE users SET email = $1 WHERE id = 1", CANARY)
    await connection.close()

    assert any(form in dump(database_url) for form in forms_of(CANARY))
