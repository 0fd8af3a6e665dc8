"""Backup: take the configuration along."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import orjson
from flask import Response, render_template
from flask_login import current_user

from gateway.admin import bp
from gateway.admin.settings import tabs
from gateway.core.chat import Json
from gateway.services import services
from gateway.store import keys as stored_keys
from gateway.store import servers as stored_servers


@bp.get("/settings/backup")
def settings_backup() -> str:
    """Tell what can be taken along, and how to bring it back."""
    config = services().config
    return render_template(
        "admin/settings/backup.html",
        tab="backup",
        tabs=tabs(),
        is_sqlite=config.uses_sqlite,
        data_dir=config.data_dir,
        may_export=current_user.role != "viewer",
    )


@bp.get("/settings/backup/configuration.json")
def settings_export() -> Response:
    """Give settings, servers, models and keys as JSON; secrets and digests stay here."""
    now = datetime.now(UTC)
    body = orjson.dumps(_configuration(now), option=orjson.OPT_INDENT_2, default=str)
    name = f"ollama2openai-{now:%Y%m%d-%H%M}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, mimetype="application/json", headers=headers)


def _configuration(now: datetime) -> dict[str, Json]:
    parts = services()
    return {
        "product": "ollama2openai",
        "exported_at": now.isoformat(),
        "settings": asdict(parts.settings.behaviour()),
        "servers": [stored_servers.as_json(server) for server in parts.catalog.servers()],
        "models": [
            {
                "name": model.name,
                "display_name": model.display_name,
                "enabled": model.enabled,
                "override": dict(model.override),
                "names": {alias.name: dict(alias.override) for alias in model.aliases},
            }
            for model in parts.catalog.models()
        ],
        "keys": [stored_keys.as_json(key) for key in parts.keys.search()],
    }
