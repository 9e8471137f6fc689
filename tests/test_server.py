"""What a service of one's own keeps beside its database."""

from pathlib import Path

from event_trigger.bootstrap import kept_secret


def test_a_signing_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "data"

    first, second = kept_secret(data), kept_secret(data)

    assert first == second
    assert len(first) >= 32
    assert (data / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in data.iterdir()] == ["jwt-secret"]


def test_a_signing_secret_that_a_power_failure_cut_off_is_made_anew(tmp_path: Path) -> None:
    whole = kept_secret(tmp_path)
    (tmp_path / "jwt-secret").write_text("")
    (tmp_path / "jwt-secret.new").write_text(whole[:10])

    made_anew = kept_secret(tmp_path)

    assert len(made_anew) >= 32
    assert made_anew != whole
    assert kept_secret(tmp_path) == made_anew
