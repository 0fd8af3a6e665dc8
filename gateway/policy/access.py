"""What a key may do: which models, which endpoints, from where (docs/contract/names.md).

Rules about models are checked against the resolved model, never against what the caller wrote.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.core.catalog import Model, Resolved
from gateway.errors import Forbidden
from gateway.policy import names
from gateway.schemas.key import Key

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_ALL: Final = ("*",)


def may_use(key: Key, resolved: Resolved) -> bool:
    """Whether a key may use a model. What is denied stays denied, whatever else allows it."""
    if key.allow == _ALL and not key.deny:
        return True
    spellings = tuple(_spellings(resolved))
    canonical = names.key_of(resolved.model.name)
    if _any_fits(key.deny, spellings, canonical):
        return False
    return resolved.model.id in key.model_ids or _any_fits(key.allow, spellings, canonical)


def check_model(key: Key, resolved: Resolved) -> None:
    """Raise Forbidden when the key may not use the model."""
    if not may_use(key, resolved):
        shown = resolved.alias.name if resolved.alias is not None else resolved.model.display_name
        raise Forbidden(
            f"This API key may not use the model '{shown}'.",
            code="model_access_denied",
            param="model",
        )


def unmatched(key: Key, models: Iterable[Model]) -> tuple[str, ...]:
    """Return the rules of a key that mean no model there is: a slip, or a model yet to come."""
    meant = [
        (tuple(_spellings(Resolved(model, alias))), names.key_of(model.name))
        for model in models
        for alias in (None, *model.aliases)
    ]
    return tuple(
        rule
        for rule in dict.fromkeys((*key.allow, *key.deny))
        if rule != "*" and not any(_any_fits((rule,), *one) for one in meant)
    )


def check_scope(key: Key, scope: str, label: str) -> None:
    """Raise Forbidden when the key may not use an endpoint, which people call `label`."""
    if scope not in key.scopes:
        raise Forbidden(f"This API key may not use {label}.")


def check_address(key: Key, address: str) -> None:
    """Raise Forbidden when the key may not be used from an address. Cannot be read: not allowed."""
    if not key.cidrs:
        return
    ip = _ip(address)
    if ip is None or not any(ip in network for network in _networks(key.cidrs)):
        raise Forbidden("This API key may not be used from this address.")


def by_network(keys: Iterable[Key]) -> tuple[tuple[Network, Key], ...]:
    """Return every network of the keys with its key: the most specific network first, of equal ones
    that of the key with the lowest id."""
    found = [(network, key) for key in keys for network in _networks(key.cidrs)]
    return tuple(sorted(found, key=lambda pair: (-pair[0].prefixlen, pair[1].id)))


def matching(networks: Iterable[tuple[Network, Key]], address: str) -> Iterator[Key]:
    """Yield the keys whose network has the address, in the order of `networks`."""
    ip = _ip(address)
    if ip is not None:
        yield from (key for network, key in networks if ip in network)


def is_for_everybody(key: Key) -> bool:
    """Whether the addresses of a key include every address there is, of IPv4 or IPv6."""
    return any(network.prefixlen == 0 for network in _networks(key.cidrs))


def visible(key: Key, models: Iterable[Model]) -> tuple[Model, ...]:
    """Return the models a key may call, by display name, or by the one alias that is allowed."""
    shown = (_shown(key, model) for model in models if model.enabled and model.available)
    found = [model for model in shown if model is not None]
    return tuple(sorted(found, key=lambda model: (model.display_name.casefold(), model.id)))


def _shown(key: Key, model: Model) -> Model | None:
    if may_use(key, Resolved(model)):
        return model
    for alias in model.aliases:
        if not alias.is_pattern and may_use(key, Resolved(model, alias)):
            return replace(model, display_name=alias.name)
    return None


def _spellings(resolved: Resolved) -> Iterator[str]:
    """Yield every name a rule may mean this model by."""
    for name in (resolved.model.display_name, resolved.model.name):
        yield name
        yield names.without_latest(name)
        if not names.has_tag(name):
            yield name + ":latest"
    if resolved.alias is not None:
        yield resolved.alias.name


@lru_cache(maxsize=4096)
def _any_fits(entries: tuple[str, ...], spellings: tuple[str, ...], canonical: str) -> bool:
    for entry in entries:
        rule = entry.strip()
        if rule == "*" or any(names.matches(rule, spelling) for spelling in spellings):
            return True
        if "*" not in rule and names.key_of(rule) == canonical:
            return True
    return False


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a client's address, None for one that cannot be read; IPv4 in IPv6 is IPv4."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


@lru_cache(maxsize=1024)
def _networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    found: list[Network] = []
    for cidr in cidrs:
        try:
            found.append(ipaddress.ip_network(cidr.strip(), strict=False))
        except ValueError:
            continue  # a rule nobody can read allows nobody
    return tuple(found)
