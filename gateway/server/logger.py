"""gunicorn's logger as its master has it: lines of the gateway's form, which wait for no reader."""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger

from gateway import logs


class MasterLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Writes gunicorn's own lines where there is room for them; requests it does not log."""

    def setup(self, cfg: Any) -> None:
        """Replace the handler that would block on a full pipe."""
        super().setup(cfg)
        handler = logs.StderrHandler()
        is_json = os.environ.get("LOG_FORMAT") == "json"
        handler.setFormatter(logs.JsonFormatter() if is_json else logs.LineFormatter())
        self.error_log.handlers[:] = [handler]
        self.error_log.propagate = False
