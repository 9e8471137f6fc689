"""Encrypted secrets are readable only with their key, for their owner, and unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.vault import SealBroken, Sealed, Vault

FIRST, SECOND = "first-" * 8, "second-" * 8


@given(st.binary(max_size=500), st.integers(1, 2**63 - 1))
def test_what_is_sealed_can_be_opened_and_is_not_there_to_see(plain: bytes, owner: int) -> None:
    sealed = Vault(FIRST).seal(plain, owner_id=owner)

    assert Vault(SECOND, FIRST).open(sealed, owner_id=owner) == plain
    assert len(plain) < 4 or plain not in sealed.data


def test_the_same_is_never_sealed_alike() -> None:
    vault = Vault(FIRST)

    assert vault.seal(b"same", owner_id=1) != vault.seal(b"same", owner_id=1)


def test_it_is_sealed_under_the_first_key() -> None:
    sealed = Vault(SECOND, FIRST).seal(b"plain", owner_id=1)

    assert sealed.key_id == Vault(SECOND).current
    with pytest.raises(SealBroken, match="not set"):
        Vault(FIRST).open(sealed, owner_id=1)


@pytest.mark.parametrize("place", [0, 12, -1])
def test_a_changed_byte_breaks_the_seal(place: int) -> None:
    vault = Vault(FIRST)
    sealed = vault.seal(b"plain", owner_id=1)
    data = bytearray(sealed.data)
    data[place] ^= 1

    for broken in (Sealed(sealed.key_id, bytes(data)), Sealed(sealed.key_id, b"")):
        with pytest.raises(SealBroken):
            vault.open(broken, owner_id=1)


def test_one_owners_secret_is_no_use_as_anothers() -> None:
    vault = Vault(FIRST)

    with pytest.raises(SealBroken):
        vault.open(vault.seal(b"plain", owner_id=1), owner_id=2)


def test_a_fingerprint_is_known_after_the_key_was_replaced() -> None:
    fingerprint = Vault(FIRST).fingerprints(b"content")[0]

    assert Vault(SECOND, FIRST).fingerprints(b"content")[1:] == [fingerprint]
    assert Vault(SECOND).fingerprints(b"content") != [fingerprint]
    assert Vault(FIRST).fingerprints(b"another") != [fingerprint]
