"""Names to addresses."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from gateway.ollama import addresses
from gateway.ollama.addresses import AddressBook, ForbiddenAddress

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
ADDRESSES = [(socket.AF_INET, ("192.0.2.1", 80))]


class Resolver:
    """A name server under our control: answers, fails, or waits for `go`."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def __call__(self, *_: object) -> Any:
        self.asked += 1
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        return FOUND


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer stays fresh."""
    monkeypatch.setattr(addresses, "FRESH_S", -1.0)


def test_an_answer_is_kept(resolver: Resolver) -> None:
    book = AddressBook(resolver)

    assert book.find("x.test", 80, 5) == ADDRESSES
    assert book.find("x.test", 80, 5) == ADDRESSES
    assert resolver.asked == 1


def test_an_old_answer_is_asked_for_again(resolver: Resolver, old: None) -> None:
    book = AddressBook(resolver)

    book.find("x.test", 80, 5)
    book.find("x.test", 80, 5)

    assert resolver.asked == 2


def test_an_address_is_not_looked_up(resolver: Resolver) -> None:
    book = AddressBook(resolver)

    assert book.find("127.0.0.1", 80, 5) == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert book.find("[::1]", 80, 5) == [(socket.AF_INET6, ("::1", 80, 0, 0))]
    assert resolver.asked == 0


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_nobody_knows_is_told(resolver: Resolver, error: Exception) -> None:
    resolver.error = error

    with pytest.raises(socket.gaierror):
        AddressBook(resolver).find("x.test", 80, 5)


def test_the_last_good_answer_serves_while_names_fail(resolver: Resolver, old: None) -> None:
    book = AddressBook(resolver)
    book.find("x.test", 80, 5)
    resolver.error = socket.gaierror(-3, "try again")

    assert book.find("x.test", 80, 5) == ADDRESSES


def test_a_late_answer_is_waited_for_once(resolver: Resolver, old: None) -> None:
    book = AddressBook(resolver)
    resolver.go.clear()
    for _ in range(3):
        with pytest.raises(socket.gaierror, match="does not answer"):
            book.find("x.test", 80, 0.01)

    resolver.go.set()

    assert resolver.asked == 1
    assert book.find("x.test", 80, 5) == ADDRESSES


def test_an_old_answer_serves_while_the_new_one_is_late(resolver: Resolver, old: None) -> None:
    book = AddressBook(resolver)
    book.find("x.test", 80, 5)
    resolver.go.clear()
    try:
        assert book.find("x.test", 80, 0.01) == ADDRESSES
    finally:
        resolver.go.set()


def test_a_look_up_known_to_be_late_is_not_waited_for_again(
    resolver: Resolver, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "LATE_S", 0.0)
    book = AddressBook(resolver)
    book.find("x.test", 80, 5)
    resolver.go.clear()
    waited: list[float | None] = []

    class Counted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            return bool(super().wait(timeout))

    monkeypatch.setattr(addresses.threading, "Event", Counted)
    try:
        found = [book.find("x.test", 80, 20) for _ in range(3)]
    finally:
        resolver.go.set()

    assert found == [ADDRESSES] * 3
    assert waited.count(0.0) == 3


def test_names_that_hang_leave_threads_to_others(resolver: Resolver) -> None:
    """Whoever else needs one of the few threads, such as the database, must get it."""
    asked = threading.Semaphore(0)
    resolver.go.clear()

    def lookup(*_: object) -> Any:
        asked.release()
        return resolver()

    books = [AddressBook(lookup) for _ in range(12)]
    try:
        for number, book in enumerate(books):
            with pytest.raises(socket.gaierror):
                book.find(f"x{number}.test", 80, 0)
        for _ in range(4):
            assert asked.acquire(timeout=20)

        assert not asked.acquire(timeout=0.05)
    finally:
        resolver.go.set()
    for number, book in enumerate(books):
        assert book.find(f"x{number}.test", 80, 20) == ADDRESSES


def test_an_address_that_is_not_allowed_is_left_out() -> None:
    def lookup(host: str, port: int, *_: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("169.254.169.254", "10.0.0.5")
        ]

    book = AddressBook(lookup, allows=lambda address: not address.startswith("169.254."))

    assert book.find("box", 80, 1) == [(socket.AF_INET, ("10.0.0.5", 80))]


def test_a_host_with_no_allowed_address_is_refused() -> None:
    book = AddressBook(allows=lambda address: False)

    with pytest.raises(ForbiddenAddress):
        book.find("127.0.0.1", 80, 1)
