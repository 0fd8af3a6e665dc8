"""Sentences that services and policies say in English, in the visitor's language.

The packages below know no languages. What they say to people stands here once more, so that it is
in the catalogues; `%(name)s` stands for whatever is in its place. A sentence that is not here stays
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from gateway.core.options import KEYS
from gateway.errors import Message
from gateway.web.words import _

SENTENCES = (
    # server/body.py
    "The request body came too slowly.",
    "The chunked request body is malformed.",
    # ollama/server_url.py, management/servers.py
    "Enter the address of the server, for example http://192.168.1.20:11434.",
    "The address may hold only plain characters, without spaces.",
    "The address cannot be read: check the brackets and the port.",
    "The address must begin with http:// or https://.",
    "The address must not hold a name or password: use the authorization header field.",
    "The address must not hold a query or a fragment.",
    "The port must be between 1 and 65535.",
    "This is not an IP address.",
    "Link-local and cloud metadata addresses are not allowed.",
    "Multicast and broadcast addresses are not allowed.",
    "The host name cannot be right: letters, digits, hyphens and dots only.",
    "Write an IPv4 address as four decimal numbers.",
    "The IPv6 address cannot be read.",
    "The server '%(name)s' already has this url.",
    "The server '%(name)s' already has this name.",
    "The server moves to another host: enter its authorization header again, or remove it.",
    "The header must read 'Name: value', for example 'Authorization: Bearer ...'.",
    "This header is set by the gateway itself.",
    "There is no such file on the gateway's machine.",
    # scheduling/deployments.py, ollama/diagnosis.py, scheduling/discovery.py
    "It answers.",
    "Too many calls failed; it is tried again in a moment.",
    "It failed and is on trial with one call.",
    "It has not been asked yet.",
    "It was removed.",
    "It is loading %(names)s.",
    "Calls of %(names)s fail here.",
    "The list of models is old: %(reason)s",
    "%(running)s running, %(queued)s waiting.",
    "It takes no new calls; %(running)s still running.",
    "It suddenly lists no models.",
    "If they were removed on purpose, wait a few minutes or refresh this server.",
    "It took too long to answer.",
    "Try again.",
    "Nothing listens on port %(port)s of %(host)s.",
    "The name %(host)s is unknown.",
    "There is no way to %(host)s from here.",
    "%(host)s does not answer on port %(port)s.",
    "No encrypted connection could be made.",
    "The certificate was not accepted: %(reason)s.",
    "The server wants other credentials.",
    "Something answers on port %(port)s of %(host)s, but it is not Ollama.",
    "%(host)s closed the connection without an answer.",
    "Check that Ollama runs there, and not something else on this port.",
    "Look into the log of Ollama on that machine.",
    "The name server does not answer when asked for %(host)s.",
    "Check the name server of the gateway's machine, or use the IP address.",
    "The server refuses calls to the name %(host)s.",
    "Ollama on 127.0.0.1 answers to few names: use its IP address, or have the proxy in front of "
    "it send 'Host: localhost'.",
    # policy/choose.py
    "model loaded",
    "idle, must load",
    "must load beside others",
    "every slot taken",
    "failed just now, no other left",
    "model loaded, %(free)s/%(slots)s slots free",
    "idle, must load, %(free)s/%(slots)s slots free",
    "must load beside others, %(free)s/%(slots)s slots free",
    "%(reason)s; conversation of %(count)s",
    "%(reason)s; least busy of %(count)s",
    # management/model_operations.py
    "This is not a model name; write it like llama3.2 or hf.co/user/model:Q4_K_M.",
    "The registry does not know this model: check its name and tag.",
    "The disk of the server is full.",
    "The server cannot reach the registry: check its connection to the internet.",
    "This model needs a newer Ollama: update that server.",
    "The registry wants a sign-in for this model.",
    "The server stopped before the model was complete.",
    # store/catalog.py, management/models.py
    "A fallback must be another model.",
    "The name '%(name)s' is given twice.",
    "The name '%(name)s' already means '%(model)s'.",
    "A server still has this model.",
    "A name is one line without control characters.",
    "A name must not hold *: that is for patterns.",
    # management/keys.py, policy/key_rules.py
    "A revoked key cannot be rotated.",
    "'%(field)s' must be one line without control characters.",
    "'%(field)s' lies in the past.",
    # runtime/database.py
    "The gateway's database is not available; try again.",
    "The gateway's database does not answer; try again.",
    # gateway/admin/backup.py
    "This is neither YAML nor JSON.",
    # management/admins.py, management/accounts.py, store/admins.py
    "There is already an account '%(name)s'.",
    "There must be an owner who can log in.",
    "The current password is wrong.",
    "The password was changed meanwhile.",
    "The new password is the old one.",
    "Too many logins at once; try again in a moment.",
    "A token cannot have a higher role than its maker.",
    # policy/overrides/rules.py, core/readers.py, core/options.py
    "must be an object",
    "stands here twice",
    "has no place here",
    "belongs one level up, beside 'options'",
    "is not known; did you mean '%(name)s'?",
    "is not known; an option of a newer Ollama belongs into 'options'",
    "is not JSON: %(problem)s",
    "says the same as another spelling of '%(name)s'",
    "must be %(what)s",
    "a number",
    "a whole number",
    "a text or a list of texts",
    "true or false",
    "at least 1, or -1 for no limit",
    "at least %(low)s",
    "from %(low)s to %(high)s",
    "true, false, low, medium, high or max",
    "seconds, or a duration such as 5m",
    '"json" or a JSON schema',
    "one of %(words)s",
)
_PLACE = re.compile(r"%\((\w+)\)s")


def sentences() -> Iterator[str]:
    """Yield everything that may be translated here, for the catalogues."""
    yield from SENTENCES
    for rule in KEYS.values():
        yield rule.help
        if rule.default and not rule.default.replace(".", "").lstrip("-").isdigit():
            yield rule.default


def translated(sentence: str) -> str:
    """Return the sentence in the visitor's language, where it is known."""
    if isinstance(sentence, Message):
        return _(
            sentence.template,
            **{
                name: translated(value) if isinstance(value, Message) else value
                for name, value in sentence.values.items()
            },
        )
    if sentence in _fixed():
        return _(sentence.replace("%", "%%"))
    for pattern, message in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            return _(message, **_inner(found.groupdict()))
    return sentence


def _inner(values: Mapping[str, str]) -> dict[str, str]:
    """Translate what stands in a place where it is a sentence of its own."""
    return {
        name: translated(value) if name in {"what", "reason"} else value
        for name, value in values.items()
    }


@lru_cache(maxsize=1)
def _fixed() -> frozenset[str]:
    return frozenset(one for one in sentences() if not _PLACE.search(one))


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    found = []
    for message in SENTENCES:
        if not _PLACE.search(message):
            continue
        parts = _PLACE.split(message)
        texts, names = parts[::2], parts[1::2]
        pattern = re.escape(texts[0])
        for name, text in zip(names, texts[1:], strict=True):
            pattern += f"(?P<{name}>.+?)" + re.escape(text)
        found.append((re.compile(pattern, re.DOTALL), message))
    return tuple(found)
