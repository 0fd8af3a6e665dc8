"""What the audit log says in words: a sentence for each action, a name for each kind of object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

from gateway.core.admin import AuditEntry
from gateway.store.audit import UNKNOWN_USER, FailedLogin
from gateway.web.words import _, _l, ngettext


class Action(NamedTuple):
    """What was done: in a list of actions, and as the sentence of one entry. In the sentence `user`
    is who did it, `name` what it was done to."""

    label: str
    sentence: str


ACTIONS: Final[Mapping[str, Action]] = {
    "admin.create": Action(_l("Account added"), _l("%(user)s added the account “%(name)s”")),
    "admin.delete": Action(_l("Account deleted"), _l("%(user)s deleted the account “%(name)s”")),
    "admin.seed": Action(_l("First account"), _l("%(user)s made the first account, “%(name)s”")),
    "admin.update": Action(_l("Account changed"), _l("%(user)s changed the account “%(name)s”")),
    "alert.create": Action(
        _l("Alert target added"), _l("%(user)s added the alert target “%(name)s”")
    ),
    "alert.delete": Action(
        _l("Alert target deleted"), _l("%(user)s deleted the alert target “%(name)s”")
    ),
    "alert.import": Action(
        _l("Alert target imported"), _l("%(user)s imported the alert target “%(name)s”")
    ),
    "alert.update": Action(
        _l("Alert target changed"), _l("%(user)s changed the alert target “%(name)s”")
    ),
    "backup.download": Action(_l("Backup downloaded"), _l("%(user)s downloaded a full backup")),
    "backup.failed": Action(_l("Backup failed"), _l("%(user)s could not make a backup")),
    "backup.made": Action(_l("Backup made"), _l("%(user)s made the backup %(name)s")),
    "call.cancel": Action(_l("Request cancelled"), _l("%(user)s cancelled the request %(name)s")),
    "key.create": Action(_l("Key created"), _l("%(user)s created the key “%(name)s”")),
    "key.delete": Action(_l("Key deleted"), _l("%(user)s deleted the key “%(name)s”")),
    "key.disable": Action(_l("Key disabled"), _l("%(user)s disabled the key “%(name)s”")),
    "key.enable": Action(_l("Key enabled"), _l("%(user)s enabled the key “%(name)s”")),
    "key.import": Action(_l("Key imported"), _l("%(user)s imported the key “%(name)s”")),
    "key.revoke": Action(_l("Key revoked"), _l("%(user)s revoked the key “%(name)s”")),
    "key.rotate": Action(_l("Key rotated"), _l("%(user)s rotated the key “%(name)s”")),
    "key.update": Action(_l("Key changed"), _l("%(user)s changed the key “%(name)s”")),
    "login": Action(_l("Sign-in"), _l("%(user)s signed in")),
    "login.code_failed": Action(_l("Wrong code at sign-in"), ""),
    "login.failed": Action(_l("Failed sign-in"), ""),
    "login.provider_failed": Action(_l("Failed sign-in through OpenID Connect"), ""),
    "model.copy": Action(_l("Model copied"), _l("%(user)s copied a model: %(name)s")),
    "model.delete": Action(_l("Model deleted"), _l("%(user)s deleted the model “%(name)s”")),
    "model.disable": Action(_l("Model disabled"), _l("%(user)s disabled the model “%(name)s”")),
    "model.enable": Action(_l("Model enabled"), _l("%(user)s enabled the model “%(name)s”")),
    "model.forget": Action(
        _l("Model removed from the list"), _l("%(user)s removed the model “%(name)s” from the list")
    ),
    "model.import": Action(
        _l("Model imported"), _l("%(user)s imported the settings of the model “%(name)s”")
    ),
    "model.load": Action(_l("Model loaded"), _l("%(user)s loaded the model “%(name)s”")),
    "model.load_cancel": Action(
        _l("Load cancelled"), _l("%(user)s cancelled the load of the model “%(name)s”")
    ),
    "model.pull": Action(_l("Model pulled"), _l("%(user)s pulled the model “%(name)s”")),
    "model.pull_cancel": Action(
        _l("Pull cancelled"), _l("%(user)s cancelled the pull of the model “%(name)s”")
    ),
    "model.unload": Action(_l("Model unloaded"), _l("%(user)s unloaded the model “%(name)s”")),
    "model.unpin": Action(
        _l("Model unpinned"), _l("%(user)s no longer keeps the model “%(name)s” in memory")
    ),
    "model.update": Action(_l("Model changed"), _l("%(user)s changed the model “%(name)s”")),
    "password.change": Action(_l("Password changed"), _l("%(user)s changed their own password")),
    "password.set": Action(_l("Password set"), _l("%(user)s set the password of “%(name)s”")),
    "recovery_codes.create": Action(
        _l("Recovery codes made"), _l("%(user)s made new recovery codes")
    ),
    "recovery_codes.use": Action(
        _l("Recovery code used"), _l("%(user)s signed in with a recovery code")
    ),
    "server.create": Action(_l("Server added"), _l("%(user)s added the server “%(name)s”")),
    "server.delete": Action(_l("Server deleted"), _l("%(user)s deleted the server “%(name)s”")),
    "server.import": Action(_l("Server imported"), _l("%(user)s imported the server “%(name)s”")),
    "server.seed": Action(
        _l("First server"), _l("%(user)s added the server “%(name)s” at the first start")
    ),
    "server.update": Action(_l("Server changed"), _l("%(user)s changed the server “%(name)s”")),
    "session.end": Action(_l("Session ended"), _l("%(user)s ended a session of “%(name)s”")),
    "settings.import": Action(_l("Settings imported"), _l("%(user)s imported settings")),
    "settings.update": Action(_l("Settings changed"), _l("%(user)s changed settings")),
    "token.create": Action(
        _l("Admin API token made"), _l("%(user)s made the admin API token “%(name)s”")
    ),
    "token.revoke": Action(
        _l("Admin API token revoked"), _l("%(user)s revoked the admin API token “%(name)s”")
    ),
    "totp.disable": Action(
        _l("Two-factor disabled"),
        _l("%(user)s disabled the two-factor authentication of “%(name)s”"),
    ),
    "totp.enable": Action(
        _l("Two-factor enabled"), _l("%(user)s enabled their own two-factor authentication")
    ),
}
KINDS: Final[Mapping[str, str]] = {
    "admin": _l("Account"),
    "admin_token": _l("Admin API token"),
    "alert": _l("Alert target"),
    "backup": _l("Backup"),
    "call": _l("Request"),
    "key": _l("Key"),
    "model": _l("Model"),
    "server": _l("Server"),
    "settings": _l("Settings"),
}


def sentence(entry: AuditEntry) -> str:
    """Return what an entry says, in the visitor's language."""
    if entry.action in get_args(FailedLogin):
        return _failed(entry)
    known = ACTIONS.get(entry.action)
    if known is None:
        return f"{user(entry)}: {entry.action} {entry.object_name}"
    words: str = str(known.sentence) % {"user": user(entry), "name": entry.object_name}
    return words


def user(entry: AuditEntry) -> str:
    """Return who did it: an account's name, or what is none."""
    match entry.actor_kind:
        case "system":
            return _("The gateway")
        case "cli":
            return _("The command line")
        case "token":
            return _("The token “%(name)s”", name=entry.actor_name)
        case _:
            return entry.actor_name


def _failed(entry: AuditEntry) -> str:
    attempts = entry.after["attempts"] if entry.after else 1
    if entry.action == "login.provider_failed":
        return ngettext(
            "%(num)d failed sign-in through OpenID Connect",
            "%(num)d failed sign-ins through OpenID Connect",
            attempts,
        )
    if entry.action == "login.code_failed":
        return ngettext(
            "%(num)d wrong code at the sign-in of “%(name)s”",
            "%(num)d wrong codes at the sign-in of “%(name)s”",
            attempts,
            name=entry.object_name,
        )
    if entry.object_name == UNKNOWN_USER and not entry.object_id:
        return ngettext(
            "%(num)d failed sign-in with an unknown user name",
            "%(num)d failed sign-ins with an unknown user name",
            attempts,
        )
    return ngettext(
        "%(num)d failed sign-in as “%(name)s”",
        "%(num)d failed sign-ins as “%(name)s”",
        attempts,
        name=entry.object_name,
    )
