"""Which host names are answered, where TRUSTED_HOSTS names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import create_app
from gateway.config import Secret, Settings

CASES = {
    "one that is named": ("ai.example.org", ("ai.example.org",), 200),
    "one that is named, with a port": ("ai.example.org:3000", ("ai.example.org",), 200),
    "a subdomain of one with a dot": ("a.example.org", (".example.org",), 200),
    "another": ("evil.example", ("ai.example.org",), 400),
    "this machine": ("127.0.0.1:3000", ("ai.example.org",), 200),
    "this machine by name": ("localhost:3000", ("ai.example.org",), 200),
    "any, when none is named": ("evil.example", (), 200),
}


@pytest.mark.parametrize(("host", "trusted", "status"), CASES.values(), ids=CASES)
def test_which_hosts_are_answered(
    tmp_path: Path, host: str, trusted: tuple[str, ...], status: int
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path / 'gateway.db'}",
        session_secret=Secret("x" * 32),
        trusted_hosts=trusted,
    )
    answer = create_app(settings).test_client().get("/healthz", headers={"Host": host})

    assert answer.status_code == status
    assert answer.is_json
