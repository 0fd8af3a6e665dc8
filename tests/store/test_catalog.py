"""Models in the store: refreshing never loses what an admin set; names mean one model only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from gateway.core.catalog import Alias, Listed
from gateway.errors import InvalidRequest, NotFound
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.store import catalog, keys, servers
from gateway.store.database.engine import Database
from tests.support.models import change

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def session(database: Database):
    """A writing session with two servers, 1 and 2."""
    with database.write() as session:
        for number in (1, 2):
            server = Server(0, f"box {number}", f"http://10.0.0.{number}:11434")
            servers.insert(session, server, NOW)
        yield session


def refresh(session: Session, server_id: int, *names: str, **more: object) -> bool:
    listing = [Listed(name, digest=f"digest of {name}", size_bytes=5, **more) for name in names]
    return catalog.record_listing(session, server_id, listing, NOW, enable_new=True)


def one(session: Session, name: str):
    return next(model for model in catalog.all_models(session) if model.name == name)


def test_a_refresh_without_news_says_so(session: Session) -> None:
    refresh(session, 1, "llama3.2:latest")

    assert refresh(session, 1, "llama3.2:latest") is False


def test_what_an_admin_set_outlives_absence(session: Session) -> None:
    refresh(session, 1, "llama3.2:latest")
    model = one(session, "llama3.2:latest")
    change(
        session,
        model.id,
        display_name="Chat",
        enabled=False,
        override={"num_ctx": 4096},
        aliases={"gpt-4o": {}},
    )
    assert refresh(session, 1)
    gone = one(session, "llama3.2:latest")
    assert refresh(session, 1, "llama3.2:latest")
    back = one(session, "llama3.2:latest")

    assert (gone.available, back.available) == (False, True)
    for seen in (gone, back):
        assert (seen.display_name, seen.enabled, seen.override, seen.aliases) == (
            "Chat",
            False,
            {"num_ctx": 4096},
            (Alias("gpt-4o"),),
        )


def test_one_model_on_two_servers_is_one_model(session: Session) -> None:
    refresh(session, 1, "llama3.2:latest")
    refresh(session, 2, "Llama3.2:latest")
    both = catalog.all_models(session)
    servers.delete(session, 1)
    left = catalog.all_models(session)

    assert [model.server_ids for model in both] == [(1, 2)]
    assert [model.server_ids for model in left] == [(2,)]


@pytest.mark.parametrize("taken", ["OTHER", "other:latest", "Alias-Of-Other", "alias-of-mine"])
def test_a_name_means_one_model_whatever_its_case(session: Session, taken: str) -> None:
    refresh(session, 1, "mine:latest", "other:latest")
    mine, other = one(session, "mine:latest"), one(session, "other:latest")
    change(session, mine.id, aliases={"alias-of-mine": {}})
    change(session, other.id, aliases={"alias-of-other": {}})

    with pytest.raises(InvalidRequest):
        change(session, mine.id, display_name=taken)


def test_a_new_model_whose_short_name_is_taken_keeps_its_long_one(session: Session) -> None:
    refresh(session, 1, "other:7b")
    change(session, one(session, "other:7b").id, display_name="fresh")
    refresh(session, 1, "other:7b", "fresh:latest")

    assert one(session, "fresh:latest").display_name == "fresh:latest"


def test_every_override_is_kept_as_a_version(session: Session) -> None:
    refresh(session, 1, "m:latest")
    model = one(session, "m:latest")
    for number, override in enumerate(({"seed": 1}, {"seed": 1}, {"seed": 2}, {})):
        at = NOW + timedelta(seconds=number)
        change(session, model.id, by="dana", now=at, note="n", override=override)
    found = catalog.versions(session, model.id)

    assert [version.override for version in found] == [{}, {"seed": 2}, {"seed": 1}]
    assert (found[0].actor_name, found[0].note) == ("dana", "n")


def test_details_are_wanted_once_a_digest(session: Session) -> None:
    refresh(session, 1, "m:latest")
    model_id, name, digest = catalog.lacking_details(session)[0]
    catalog.save_details(
        session,
        model_id,
        digest,
        capabilities=frozenset({"tools", "completion"}),
        context_tokens=8192,
        details={"license": "MIT"},
    )
    session.flush()
    known = catalog.lacking_details(session)
    catalog.record_listing(session, 1, [Listed(name, digest="new")], NOW, enable_new=True)
    session.flush()

    assert known == []
    assert one(session, name).capabilities == {"tools", "completion"}
    assert catalog.lacking_details(session) == [(model_id, name, "new")]


def test_fallbacks_are_other_models(session: Session) -> None:
    refresh(session, 1, "a:latest", "b:latest")
    a, b = one(session, "a:latest"), one(session, "b:latest")
    change(session, a.id, fallbacks=(b.id,))

    assert one(session, "a:latest").fallbacks == (b.id,)
    for wrong in ([a.id], [999]):
        with pytest.raises(InvalidRequest):
            change(session, a.id, fallbacks=tuple(wrong))


def test_fallbacks_keep_their_order(session: Session) -> None:
    refresh(session, 1, "a:latest", "b:latest", "c:latest", "d:latest")
    a, b, c, d = (one(session, f"{name}:latest").id for name in "abcd")
    for wanted in ([b, c], [d, c, b], [c], [], [c, b]):
        change(session, a, fallbacks=tuple(wanted))
        session.flush()
        session.expire_all()
        assert catalog.get(session, a).fallbacks == tuple(wanted)


def test_a_forgotten_model_leaves_keys_and_fallbacks(session: Session) -> None:
    refresh(session, 1, "a:latest", "b:latest", "c:latest")
    a, b, c = (one(session, f"{name}:latest").id for name in "abc")
    change(session, a, fallbacks=(c, b))
    key = keys.insert(session, Key(0, "", "", created_at=NOW, model_ids=(c, b)), b"1" * 32)
    catalog.delete(session, c)
    session.expire_all()

    assert catalog.get(session, a).fallbacks == (b,)
    assert keys.get(session, key.id).model_ids == (b,)
    refresh(session, 1, "a:latest", "b:latest", "d:latest")
    assert one(session, "d:latest").id > c  # what spoke of the old one never means the new one


def test_a_key_cannot_speak_of_a_model_there_is_not(session: Session) -> None:
    with pytest.raises(InvalidRequest, match="There is no model 999") as caught:
        keys.insert(session, Key(0, "", "", created_at=NOW, model_ids=(999,)), b"1" * 32)

    assert caught.value.param == "model_ids"


def test_a_forgotten_model_leaves_nothing(session: Session) -> None:
    refresh(session, 1, "m:latest")
    model = one(session, "m:latest")
    change(session, model.id, override={"seed": 1})
    catalog.delete(session, model.id)

    assert catalog.all_models(session) == []
    assert catalog.versions(session, model.id) == []
    with pytest.raises(NotFound):
        catalog.get(session, model.id)


@pytest.mark.parametrize(
    ("name", "url", "field"),
    [("BOX 1", "http://10.0.0.9:1", "name"), ("new", "http://10.0.0.1:11434", "url")],
)
def test_servers_have_their_own_name_and_address(
    session: Session, name: str, url: str, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        servers.insert(session, Server(0, name, url), NOW)

    assert caught.value.param == field
