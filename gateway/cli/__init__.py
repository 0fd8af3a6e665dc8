"""Commands for operators: `flask --app wsgi --help` lists them.

    people   account create|set-password, token create
    keys     key create|list|rotate|revoke
    work     model list|refresh, server list|create, usage, prune, doctor
    data     backup, restore, config export|import, legacy import
    kit      client-config

They work on the same services as the console, so that everything they change is checked, marked
for running workers, and in the audit log. A refusal is one line and exit code 1.
"""

from __future__ import annotations

from flask import Flask

from gateway.cli import data, keys, kit, people, work


def register(app: Flask) -> None:
    """Add the commands to an application."""
    for module in (people, keys, work, data, kit):
        for command in module.COMMANDS:
            app.cli.add_command(command)
