"""Sentences that lower rooms say in English, in the visitor's language.

The rooms below know no languages. Their fixed sentences stand here once more, so that they are in
the catalogues; a sentence that is not stays as it is.
"""

from __future__ import annotations

from flask_babel import gettext

from gateway.pages.words import _l

SENTENCES = (
    _l("Enter the address of the server, for example http://192.168.1.20:11434."),
    _l("The address may hold only plain characters, without spaces."),
    _l("The address cannot be read: check the brackets and the port."),
    _l("The address must begin with http:// or https://."),
    _l("The address must not hold a name or password: use the authorization header field."),
    _l("The address must not hold a query or a fragment."),
    _l("The port must be between 1 and 65535."),
    _l("This is not an IP address."),
    _l("Link-local and cloud metadata addresses are not allowed."),
    _l("Multicast and broadcast addresses are not allowed."),
    _l("The host name cannot be right: letters, digits, hyphens and dots only."),
    _l("Write an IPv4 address as four decimal numbers."),
    _l("The IPv6 address cannot be read."),
)


def translated(sentence: str) -> str:
    """Give the sentence in the visitor's language, where it is known."""
    return str(gettext(sentence.replace("%", "%%")) if "%" in sentence else gettext(sentence))
