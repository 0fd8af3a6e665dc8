"""Commands for operators: `flask --app wsgi --help` lists them.

    people   create-admin, set-password, issue-admin-token
    keys     issue-key, list-keys, rotate-key, revoke-key
    work     refresh-models, usage, prune, doctor
    data     backup, restore, export-config, import-config, import-ollama2openai
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
