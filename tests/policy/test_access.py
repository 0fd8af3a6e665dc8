"""What keys may do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import Alias, Model, Resolved
from gateway.errors import Forbidden
from gateway.policy import access
from gateway.policy.routing import Index
from gateway.schemas.key import DEFAULT_SCOPES
from tests.policy.values import key, model

LLAMA = model("llama3.2:latest", id=1, display_name="Llama", aliases=("gpt-4o", "claude-*"))
QWEN = model("qwen3:8b", id=2)
VIA = Resolved(LLAMA, Alias("gpt-4o"))

RULES: dict[str, Any] = {
    "star": ({"allow": ("*",)}, Resolved(LLAMA), True),
    "nothing": ({"allow": ()}, Resolved(LLAMA), False),
    "display": ({"allow": ("llama",)}, Resolved(LLAMA), True),
    "display with latest": ({"allow": ("Llama:latest",)}, Resolved(LLAMA), True),
    "original": ({"allow": ("LLAMA3.2:latest",)}, Resolved(LLAMA), True),
    "original without latest": ({"allow": (" llama3.2 ",)}, Resolved(LLAMA), True),
    "any spelling": ({"allow": ("registry.ollama.ai/library/llama3.2",)}, Resolved(LLAMA), True),
    "another tag": ({"allow": ("qwen3",)}, Resolved(QWEN), False),
    "pattern": ({"allow": ("qwen*",)}, Resolved(QWEN), True),
    "pattern that does not fit": ({"allow": ("qwen*",)}, Resolved(LLAMA), False),
    "alias used": ({"allow": ("gpt-4o",)}, VIA, True),
    "alias not used": ({"allow": ("gpt-4o",)}, Resolved(LLAMA), False),
    "model behind an alias": ({"allow": ("llama3.2",)}, VIA, True),
    "id": ({"allow": (), "model_ids": (1,)}, Resolved(LLAMA), True),
    "another id": ({"allow": (), "model_ids": (2,)}, Resolved(LLAMA), False),
    "denied": ({"allow": ("*",), "deny": ("llama*",)}, Resolved(LLAMA), False),
    "denied in another spelling": ({"deny": ("library/llama3.2",)}, VIA, False),
    "denied beats an id": ({"allow": (), "model_ids": (1,), "deny": ("llama",)}, VIA, False),
    "denied alias": ({"deny": ("gpt-4o",)}, VIA, False),
    "denied alias not used": ({"deny": ("gpt-4o",)}, Resolved(LLAMA), True),
    "all denied": ({"deny": ("*",)}, Resolved(LLAMA), False),
    "another denied": ({"deny": ("qwen*",)}, Resolved(LLAMA), True),
}


@pytest.mark.parametrize(("fields", "resolved", "allowed"), RULES.values(), ids=RULES)
def test_a_rule_is_checked_on_the_resolved_model(
    fields: dict[str, Any], resolved: Resolved, allowed: bool
) -> None:
    assert access.may_use(key(**fields), resolved) is allowed


def test_a_model_not_allowed_is_403() -> None:
    with pytest.raises(Forbidden) as caught:
        access.check_model(key(allow=()), VIA)

    assert (caught.value.status, caught.value.code) == (403, "model_access_denied")
    assert caught.value.param == "model"
    assert "gpt-4o" in caught.value.message
    assert "llama" not in caught.value.message.lower()
    with pytest.raises(Forbidden, match="Llama"):
        access.check_model(key(allow=()), Resolved(LLAMA))
    access.check_model(key(), VIA)


def test_a_scope_is_checked() -> None:
    for scope in DEFAULT_SCOPES:
        access.check_scope(key(), scope, "this API")
        with pytest.raises(Forbidden, match="may not use this API") as caught:
            access.check_scope(key(scopes=()), scope, "this API")
        assert caught.value.code == "permission_denied"


ADDRESSES: list[tuple[tuple[str, ...], str, bool]] = [
    ((), "anything", True),
    (("10.0.0.0/8",), "10.1.2.3", True),
    (("10.0.0.0/8",), "11.1.2.3", False),
    (("10.1.2.3",), "10.1.2.3", True),
    (("10.1.2.3/8",), "10.9.9.9", True),
    (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
    (("fd00::/8",), "fd00::1%eth0", True),
    (("fd00::/8",), "10.0.0.1", False),
    (("10.0.0.0/8", "192.168.0.0/16"), "192.168.5.5", True),
    (("10.0.0.0/8",), "", False),
    (("10.0.0.0/8",), "host.name", False),
    (("nonsense",), "10.0.0.1", False),
    (("nonsense", "10.0.0.0/8"), "10.0.0.1", True),
]


@pytest.mark.parametrize(("cidrs", "address", "allowed"), ADDRESSES)
def test_an_address_is_checked(cidrs: tuple[str, ...], address: str, allowed: bool) -> None:
    if allowed:
        access.check_address(key(cidrs=cidrs), address)
    else:
        with pytest.raises(Forbidden):
            access.check_address(key(cidrs=cidrs), address)


def test_only_what_may_be_called_is_visible() -> None:
    off, gone = model("a:1", id=5, enabled=False), model("b:1", id=6, available=False)
    zebra = model("zebra:1", id=7)

    seen = access.visible(key(), [zebra, QWEN, off, gone, LLAMA])
    few = access.visible(key(allow=("qwen3:8b",)), [zebra, QWEN, LLAMA])

    assert [one.display_name for one in seen] == ["Llama", "qwen3:8b", "zebra:1"]
    assert few == (QWEN,)


def test_a_model_allowed_by_an_alias_is_seen_under_it() -> None:
    seen = access.visible(key(allow=("gpt-4o",)), [LLAMA, QWEN])

    assert [(one.id, one.display_name) for one in seen] == [(1, "gpt-4o")]


names_of_models = st.sampled_from(["llama3.2", "qwen3:8b", "gpt-4o", "x:1", "Llama", "claude-3"])
spelled = st.builds(
    lambda name, case, form: form.format(case(name)),
    names_of_models,
    st.sampled_from([str, str.upper, str.lower, str.swapcase]),
    st.sampled_from(["{}", "library/{}", "registry.ollama.ai/library/{}", "{}:latest", "ollama/{}",
                     "openai/{}", " {}", "{}:local", "https://registry.ollama.ai/library/{}"]),
)  # fmt: skip


@given(st.lists(st.sampled_from(["llama3.2", "Llama", "gpt-4o", "*:8b", "qwen*"]), max_size=2),
       spelled)  # fmt: skip
def test_no_spelling_gets_around_a_deny(denied: list[str], spelling: str) -> None:
    models: list[Model] = [LLAMA, QWEN, model("x:1", id=3)]
    rules = key(deny=tuple(denied))
    found = Index(models).find(spelling.strip())
    if found is None:
        return

    allowed = access.may_use(rules, found)
    plain = access.may_use(rules, Resolved(found.model))

    assert not (allowed and not plain)
