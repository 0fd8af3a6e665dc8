"""The disk fills up while calls run (P9): they are answered, the console says what is wrong, and
their usage is stored when there is room again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from tests.admin.test_keys import PLAIN
from tests.integration.faults.disks import DISKS, NoGrowth, SmallDisk
from tests.integration.faults.test_broken_store import is_sound, state
from tests.support.asking import GENERATING, is_refusal
from tests.support.process import ADMIN_PASSWORD, Gateway, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

Disk = SmallDisk | NoGrowth
TOKEN = re.compile(
    r'name="csrf_token" type="hidden" value="([^"]+)"|name="csrf_token" value="([^"]+)"'
)
WORDS = {
    SmallDisk: "The disk of the data folder is full",
    NoGrowth: "The database does not take what is written to it",
}
CAUSES = {SmallDisk: "SQLITE_FULL", NoGrowth: "SQLITE_IOERR"}


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama() as fake:
        yield fake


@pytest.fixture(
    params=[
        pytest.param(disk, id=name, marks=pytest.mark.slow if number else ())
        for number, (name, disk) in enumerate(DISKS.items())
    ]
)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    made: Disk = request.param(tmp_path / "data")
    return made


class Console:
    """An owner who is signed in."""

    def __init__(self, gateway: Gateway) -> None:
        self._url = gateway.url
        self._http = requests.Session()
        self.submit("/auth/login", username="admin", password=ADMIN_PASSWORD)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def page(self, path: str) -> requests.Response:
        return self._http.get(self._url + path, timeout=30)

    def submit(self, path: str, **fields: str) -> requests.Response:
        found = TOKEN.search(self.page(path).text)
        assert found is not None
        data = {"csrf_token": found[1] or found[2], **fields}
        return self._http.post(self._url + path, data=data, timeout=30)


def ask(gateway: Gateway, key: str) -> dict[str, list[requests.Response]]:
    """Call in every dialect, whole and streamed; a call that hangs fails the test."""
    headers = {"Authorization": f"Bearer {key}"}
    return {
        name: [
            requests.post(
                gateway.url + endpoint.path,
                json=endpoint.with_(stream=stream),
                headers=headers,
                timeout=15,
            )
            for stream in (False, True)
        ]
        for name, endpoint in GENERATING.items()
    }


def codes(answers: dict[str, list[requests.Response]]) -> list[int]:
    return [answer.status_code for both in answers.values() for answer in both]


def settled(gateway: Gateway, token: str) -> int:
    """Give how many calls are recorded, as the gateway says: nobody else sees its disk."""
    found = requests.get(
        f"{gateway.url}/api/admin/v1/requests?limit=200",
        headers={"Authorization": f"Bearer {token}"},
        timeout=15,
    )
    return sum(row["settled"] for row in found.json()["data"])


def test_a_full_disk_costs_no_answer_and_no_record(
    tmp_path: Path, ollama: FakeOllama, disk: Disk
) -> None:
    gateway = Gateway(tmp_path / "data", ollama_url=ollama.url, around=disk.around)
    gateway.prepare()
    token = gateway.issue_token()
    with gateway, Console(gateway) as console:
        well = console.page("/admin/").text
        before = codes(ask(gateway, gateway.key))
        until(lambda: settled(gateway, token) == 2 * len(GENERATING), "the first records")

        disk.fill(gateway)
        full = codes(ask(gateway, gateway.key))
        until(lambda: state(gateway) == "unavailable", "that records cannot be written")
        still = [code for _ in range(5) for code in codes(ask(gateway, gateway.key))]
        ill = [console.page(path) for path in ("/admin/", "/admin/keys", "/admin/usage")]
        made = console.submit("/admin/keys/new", **PLAIN)

        disk.free(gateway)
        until(lambda: state(gateway) == "ok", "that records are written again")
        after = codes(ask(gateway, gateway.key))
        until(lambda: settled(gateway, token) == 16 * len(GENERATING), "every record")
        back = console.page("/admin/").text
        shutil.copytree(disk.files(gateway), tmp_path / "copy")
        code = gateway.stop()

    assert {*before, *full, *still, *after} == {200}
    assert [page.status_code for page in ill] == [200] * 3
    assert all(WORDS[type(disk)] in page.text for page in ill)
    assert WORDS[type(disk)] not in well + back
    assert (made.status_code, "database is not available" in made.text) == (503, True)
    assert code == 0
    assert is_sound(tmp_path / "copy" / "gateway.db")
    log = "".join(gateway.log)
    assert CAUSES[type(disk)] in log
    assert "Traceback" not in log


def test_a_budget_that_cannot_be_reserved_is_a_refusal_in_the_callers_dialect(
    tmp_path: Path, ollama: FakeOllama, disk: Disk
) -> None:
    """What was reserved before may be spent; nothing is let in beyond it."""
    day = {"metric": "requests", "period": "day", "limit": 1000}
    gateway = Gateway(tmp_path / "data", ollama_url=ollama.url, around=disk.around)
    gateway.prepare()
    key = gateway.issue_key("budgeted", budgets=[day])
    with gateway:
        before = codes(ask(gateway, key))
        disk.fill(gateway)
        until(lambda: set(codes(ask(gateway, key))) == {503}, "that nothing is left to spend")
        refused = ask(gateway, key)
        disk.free(gateway)
        until(lambda: set(codes(ask(gateway, key))) == {200}, "that there is room again")
        log = "".join(gateway.log)

    assert set(before) == {200}
    assert set(codes(refused)) == {503}
    for name, both in refused.items():
        for answer in both:
            assert is_refusal(answer.json(), GENERATING[name].vendor)
            assert "retry-after" in answer.headers
    assert "Traceback" not in log
