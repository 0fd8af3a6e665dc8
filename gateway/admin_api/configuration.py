"""Settings, and the whole configuration as one document."""

from __future__ import annotations

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation, read_query
from gateway.management.transfer.configuration import ConfigTransfer
from gateway.runtime.tasks import failures
from gateway.schemas.settings import RuntimeSettings
from gateway.web.context import services


@bp.get("/settings")
@operation("getSettings", answers.SettingsAnswer)
def get_settings() -> Response:
    """Return every setting in force."""
    return answer(services().settings.behaviour())


@bp.patch("/settings")
@operation("updateSettings", answers.SettingsAnswer, body=RuntimeSettings)
def update_settings() -> Response:
    """Change settings, all or none; null gives one its default again."""
    raw = body()
    cache = services().settings
    changes = {name: value for name, value in raw.items() if value is not None}
    back = [name for name, value in raw.items() if value is None]
    return answer(cache.change(changes, back, g.actor))


@bp.get("/config")
@operation("exportConfiguration", answers.ConfigAnswer, query=answers.ExportQuery, role="admin")
def export_configuration() -> Response:
    """Return settings, servers, models and keys; with `digests=true` keys work elsewhere too."""
    digests = read_query(answers.ExportQuery).digests
    return answer(ConfigTransfer(services().store).export(digests=digests))


@bp.post("/config")
@operation(
    "importConfiguration",
    answers.ImportResult,
    body=answers.ConfigDocument,
    query=answers.ImportQuery,
)
def import_configuration() -> Response:
    """Import a configuration, all of it or nothing; `dry_run=true` only says what would change."""
    document, transfer = body(), ConfigTransfer(services().store)
    rehearsal = read_query(answers.ImportQuery).dry_run
    changes = transfer.plan(document) if rehearsal else transfer.apply(document, g.actor)
    services().catalog.drop()
    return answer({"dry_run": rehearsal, "changes": changes})


@bp.get("/health")
@operation("getHealth", answers.Health)
def health() -> Response:
    """Return how the parts of this worker are."""
    parts = services()
    return answer(
        {
            "usage": {"state": parts.usage.state(), "backlog": parts.usage.backlog()},
            "limits": parts.limiter.state(),
            "slots": parts.scheduler.state(),
            "failures": failures,
            "draining": parts.draining.is_set(),
            "running": len(parts.live),
        }
    )
