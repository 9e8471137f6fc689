"""Client certificates are checked when they are saved, and their keys are never shown."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from svix.webhooks import Webhook

from event_trigger.destinations.client_certificates import MOST_CERTIFICATES, check_pair
from tests.support.certificates import HOUR, Authority, Issued, pem_of
from tests.support.databases import connect
from tests.support.destinations import make_destination, read_destination
from tests.support.problems import places_of, problem_of
from tests.support.services import Service

URL = "https://1.1.1.1/hook"
AUTHORITY = Authority()
CLIENT, RENEWED = AUTHORITY.issue("a.client"), AUTHORITY.issue("a.client")
SMALL: RSAPrivateKey = rsa.generate_private_key(65537, 1024)
LARGE: RSAPrivateKey = rsa.generate_private_key(65537, 2048)


def encrypted(key: Any) -> str:
    how = BestAvailableEncryption(b"password")
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    return encoded.decode()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        LARGE,
    ],
    ids=["P-256", "P-521", "Ed25519", "RSA"],
)
def test_a_chain_is_shown_by_subject_end_and_fingerprints(key: Any) -> None:
    issued = AUTHORITY.issue("b.client", key=key)

    pair = check_pair("A remark\n" + issued.certificate + AUTHORITY.certificate, pem_of(key))

    assert pair.chain == issued.certificate + AUTHORITY.certificate
    assert pair.shown["subject"] == "CN=b.client"
    assert [len(one) for one in pair.shown["fingerprints"]] == [64, 64]
    assert pair.private_key not in repr(pair)
    assert pair.private_key not in repr(pair.of_owner(1))


_CURVE = ec.generate_private_key(ec.SECP192R1())
NO_KEY, NO_CERTIFICATE = "Write the private key", "Write the certificate"


@pytest.mark.parametrize(
    ("certificate", "private_key", "words"),
    [
        (CLIENT.certificate, RENEWED.private_key, "not that of the first certificate"),
        (AUTHORITY.certificate + CLIENT.certificate, CLIENT.private_key, "not that of the first"),
        (CLIENT.private_key, CLIENT.private_key, NO_CERTIFICATE),
        ("", CLIENT.private_key, NO_CERTIFICATE),
        ("é", CLIENT.private_key, NO_CERTIFICATE),
        (CLIENT.certificate.replace("M", "é"), CLIENT.private_key, NO_CERTIFICATE),
        (CLIENT.certificate[:200], CLIENT.private_key, NO_CERTIFICATE),
        (CLIENT.certificate * (MOST_CERTIFICATES + 1), CLIENT.private_key, NO_CERTIFICATE),
        (CLIENT.certificate, CLIENT.certificate, NO_KEY),
        (CLIENT.certificate, "", NO_KEY),
        (CLIENT.certificate, CLIENT.private_key.replace("M", "é"), NO_KEY),
        (CLIENT.certificate, encrypted(LARGE), NO_KEY),
        (AUTHORITY.issue("c", key=SMALL).certificate, pem_of(SMALL), NO_KEY),
        (AUTHORITY.issue("c", key=_CURVE).certificate, pem_of(_CURVE), NO_KEY),
        (CLIENT.certificate, pem_of(dsa.generate_private_key(1024)), NO_KEY),
    ],
)
def test_a_pair_that_cannot_be_used_is_refused(
    certificate: str, private_key: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        check_pair(certificate, private_key)

    assert "PRIVATE KEY-----" not in str(raised.value)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    encoded = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 128 + len(encoded)]) + encoded + content


def _rsa_pem(**changes: int) -> str:
    """Writes an RSA key as PKCS#1: no library makes one with such numbers."""
    key = LARGE.private_numbers()
    numbers = {"n": key.public_numbers.n, "e": key.public_numbers.e}
    numbers |= {name: getattr(key, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")}
    values = [0, *(numbers | changes).values()]
    integers = [_der(2, one.to_bytes(one.bit_length() // 8 + 1)) for one in values]
    text = base64.b64encode(_der(0x30, b"".join(integers))).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize("name", ["d", "dmp1", "dmq1", "iqmp", "p", "e"])
def test_a_key_that_would_sign_slowly_is_refused(name: str) -> None:
    certificate = AUTHORITY.issue("c", key=LARGE).certificate
    check_pair(certificate, _rsa_pem())

    with pytest.raises(ValueError, match=NO_KEY):
        check_pair(certificate, _rsa_pem(**{name: 2**60_000 + 1}))


async def test_a_certificate_is_kept_replaced_and_removed(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL, client_certificate=CLIENT.as_given)
    path, shown = f"/destinations/{made['id']}", made["client_certificate"]
    plain = await make_destination(ada, URL)
    assert {*shown} == {"subject", "expires_at", "fingerprints"}
    assert plain["client_certificate"] is None

    read = await ada.get(path)
    same = [
        await ada.put(path, json=read.json()),
        await ada.patch(path, json={"client_certificate": shown}),
        await ada.patch(path, json={"client_certificate": CLIENT.as_given}),
    ]
    described = await ada.patch(path, json={"description": "d", "headers": {"X": "secret"}})
    renewed = await ada.patch(path, json={"client_certificate": RENEWED.as_given})
    rotated = await ada.post(f"{path}/rotate-secret")
    after = await read_destination(ada, made["id"])
    removed = await ada.patch(path, json={"client_certificate": None})
    again = await ada.patch(path, json={"client_certificate": shown})
    absent = await ada.put(path, json={"url": URL})

    assert {one.headers["etag"] for one in same} == {read.headers["etag"]}
    assert described.json()["client_certificate"] == shown
    changed = renewed.json()["client_certificate"]
    assert changed["fingerprints"] != shown["fingerprints"]
    assert rotated.status_code == 200
    assert after["client_certificate"] == changed
    assert removed.json()["client_certificate"] is None
    assert removed.json()["headers"] == {"X": "********"}
    assert places_of(again) == ["#/client_certificate"]
    assert absent.json()["client_certificate"] is None


async def test_another_origin_gets_no_certificate_of_the_old_one(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL, client_certificate=CLIENT.as_given)
    path, shown = f"/destinations/{made['id']}", made["client_certificate"]
    other = "https://1.0.0.1/hook"

    kept = await ada.patch(path, json={"url": other, "client_certificate": shown})
    put = await ada.put(path, json={"url": other, "client_certificate": shown})
    same_origin = await ada.patch(path, json={"url": URL + "/2"})
    moved = await ada.patch(path, json={"url": other})
    given_again = await ada.patch(path, json={"url": URL, "client_certificate": CLIENT.as_given})

    assert places_of(kept) == places_of(put) == ["#/client_certificate"]
    assert same_origin.json()["client_certificate"] == shown
    assert moved.json()["client_certificate"] is None
    assert "client certificate" in moved.json()["warnings"][-1]
    assert given_again.json()["client_certificate"] == shown
    assert len(given_again.json()["warnings"]) == 1
    Webhook(given_again.json()["secret"])


async def test_a_pair_that_a_version_before_has_dropped_is_given_again(
    ada: httpx.AsyncClient, database: Any
) -> None:
    plain = await make_destination(ada, URL)
    made = await make_destination(ada, URL, client_certificate=CLIENT.as_given)
    path, shown = f"/destinations/{made['id']}", made["client_certificate"]
    kept = {"destinations": {"d": {"url": URL, "client_certificate": shown}}}
    whole = {"destinations": {"d": {"url": URL, "client_certificate": CLIENT.as_given}}}
    await ada.put("/sets/s", json=whole)
    await database.execute(
        "UPDATE destinations AS one SET sealed = plain.sealed FROM destinations AS plain"
        " WHERE one.shard = plain.shard AND plain.id = $1"
        " AND one.client_certificate IS NOT NULL",
        plain["id"],
    )

    refused = await ada.patch(path, json={"client_certificate": shown})
    refused_in_set = await ada.put("/sets/s", json=kept)
    again = await ada.patch(path, json=given(CLIENT))
    again_in_set = await ada.put("/sets/s", json=whole)
    then = await ada.patch(path, json={"client_certificate": shown})
    then_in_set = [await ada.put("/sets/s", json=content) for content in (whole, kept)]

    assert places_of(refused) == ["#/client_certificate"]
    assert places_of(refused_in_set) == ["#/destinations/d/client_certificate"]
    assert again.json()["client_certificate"] == shown
    [update] = again_in_set.json()["update"]
    place = "#/destinations/d/client_certificate/private_key"
    assert update["changes"] == [{"pointer": place, "from": None, "to": "********"}]
    assert then.status_code == 200
    assert then.headers["etag"] == again.headers["etag"]
    assert [one.json()["unchanged"] for one in then_in_set] == [1, 1]


async def test_a_certificate_that_cannot_be_decrypted_is_replaced_at_a_new_origin_or_removed(
    ada: httpx.AsyncClient, database: Any
) -> None:
    def in_set(body: Any) -> dict[str, Any]:
        return {"destinations": {"moved": body, "bare": body}}

    own = {"url": URL} | given(CLIENT)
    moved, bare = [await make_destination(ada, **own) for _ in range(2)]
    await ada.put("/sets/s", json=in_set(own))
    await database.execute("UPDATE destinations SET key_id = 'lost'")
    elsewhere = {"url": "https://1.0.0.1/hook"}

    kept = await ada.put(f"/destinations/{moved['id']}", json=own)
    kept_in_set = await ada.put("/sets/s", json=in_set(own))
    answers = [
        await ada.put(f"/destinations/{moved['id']}", json=elsewhere | given(CLIENT)),
        await ada.put(f"/destinations/{bare['id']}", json={"url": URL}),
    ]
    members = {"moved": elsewhere | given(CLIENT), "bare": {"url": URL}}
    applied = await ada.put("/sets/s", json={"destinations": members})
    content = (await ada.get("/sets/s")).json()["destinations"]

    assert kept.status_code == kept_in_set.status_code == 503
    shown = moved["client_certificate"]
    assert [one.json()["client_certificate"] for one in answers] == [shown, None]
    assert len(applied.json()["update"]) == 2
    assert content["moved"]["client_certificate"] == shown
    assert "client_certificate" not in content["bare"]


def given(issued: Issued, **changes: Any) -> dict[str, Any]:
    return {"client_certificate": issued.as_given | changes}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (given(AUTHORITY.issue("a", ends_in=-timedelta(seconds=1))), "", "has ended"),
    (given(AUTHORITY.issue("a", begins_in=HOUR, ends_in=2 * HOUR)), "", "is not valid yet"),
    (given(CLIENT, private_key=RENEWED.private_key), "", "not that of the first"),
    (given(CLIENT, private_key=None), "", "Write certificate and private_key"),
    (given(CLIENT, certificate=None), "", "Write certificate and private_key"),
    ({"client_certificate": {}}, "", "Write certificate and private_key"),
    (given(CLIENT, private_key="x" * 20_000), "/private_key", "or fewer characters"),
    (given(CLIENT, private_key=5), "/private_key", "Write a text"),
    (given(CLIENT, password="x"), "/password", ""),
    ({"client_certificate": "PEM"}, "", ""),
]


async def test_a_wrong_certificate_is_refused_and_nothing_of_it_is_repeated(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_destination(ada, URL)
    for change, place, words in REFUSED:
        created = await ada.post("/destinations", json={"url": URL, **change})
        patched = await ada.patch(f"/destinations/{made['id']}", json=change)

        for refused in (created, patched):
            assert places_of(refused) == ["#/client_certificate" + place], change
            [error] = problem_of(refused, 422)["errors"]
            assert words in error["detail"]
            assert "PRIVATE" not in refused.text


async def test_a_set_has_certificates_and_keeps_them_without_their_keys(
    ada: httpx.AsyncClient,
) -> None:
    def content(url: str, certificate: Any) -> dict[str, Any]:
        return {"destinations": {"d": {"url": url, "client_certificate": certificate}}}

    made = await ada.put("/sets/s", json=content(URL, CLIENT.as_given))
    shown = (await ada.get("/sets/s")).json()
    kept = shown["destinations"]["d"]["client_certificate"]
    put_back = await ada.put("/sets/s", json=shown)
    given_again = await ada.put("/sets/s", json=content(URL, CLIENT.as_given))
    renewed = await ada.put("/sets/s?dry_run=true", json=content(URL, RENEWED.as_given))
    moved = await ada.put("/sets/s?dry_run=true", json=content("https://1.0.0.1/", kept))
    ended = AUTHORITY.issue("a", ends_in=-HOUR).as_given
    expired = await ada.put("/sets/s", json=content(URL, ended))
    wrong = await ada.put("/sets/s", json=content(URL, {"certificate": "x", "private_key": "y"}))

    assert made.json()["create"][0]["key"] == "d"
    assert put_back.json()["unchanged"] == given_again.json()["unchanged"] == 1
    [update] = renewed.json()["update"]
    places = [one["pointer"] for one in update["changes"]]
    assert "/destinations/d/client_certificate/fingerprints" in places[-1]
    place = "#/destinations/d/client_certificate"
    assert [places_of(one) for one in (moved, expired, wrong)] == [[place]] * 3
    for answer in (made, put_back, renewed, moved, expired, wrong):
        assert "PRIVATE" not in answer.text


async def test_a_private_key_is_nowhere_but_sealed(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, URL, client_certificate=CLIENT.as_given)
    await ada.patch(f"/destinations/{made['id']}", json=given(RENEWED))

    answers = [
        await ada.get("/destinations"),
        await ada.get(f"/destinations/{made['id']}"),
        await ada.get(f"/destinations/{made['id']}/secret"),
        await admin.get("/audit"),
    ]
    connection = await connect(service.database_url)
    row = await connection.fetchrow("SELECT * FROM destinations WHERE id = $1", made["id"])
    await connection.close()

    lines = {line for one in (CLIENT, RENEWED) for line in one.private_key.split("\n") if line}
    stored = json.dumps({name: str(value) for name, value in row.items()})
    for text in (stored, *(one.text for one in answers)):
        assert not any(line in text for line in lines)
    audited = [one for one in answers[-1].json() if one["target_id"] == made["id"]]
    assert audited[1]["after"]["sealed"] == "(replaced)"
