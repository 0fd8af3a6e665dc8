"""Commands for operators: `ollama2openai --help` lists them.

    account create|set-password   token create   key create|list|rotate|revoke
    model list|refresh   server list|create   usage   prune   doctor   client-config
    alert test   backup   restore   config export|import   legacy import

They work on the same services as the console, so that everything they change is checked, marked
for running workers, and in the audit log. A refusal is one line and exit code 1.
"""

from __future__ import annotations

from flask import Flask

from gateway.cli import accounts, data, keys, operations

COMMANDS = [*accounts.COMMANDS, *keys.COMMANDS, *operations.COMMANDS, *data.COMMANDS]


def register(app: Flask) -> None:
    """Add the commands to an application."""
    for command in COMMANDS:
        app.cli.add_command(command)
