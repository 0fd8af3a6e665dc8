"""Answers as they leave: nothing of Flask's has to look at them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Complete(Response):
    """An answer whose headers say all there is to say.

    Werkzeug copies them for each request, to make places absolute and to count a body: thirty
    calls, for answers that have neither place nor uncounted body.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers themselves."""
        return self.headers


def as_json(body: object, status: int = 200) -> Response:
    """Return an answer with a JSON body."""
    return Complete(orjson.dumps(body), status, content_type="application/json")
