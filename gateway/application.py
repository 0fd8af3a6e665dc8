"""The Flask application: where all parts meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import paths
from gateway.config import Settings
from gateway.runtime import tasks
from gateway.server import sockets
from gateway.server.middleware import ServerMiddleware
from gateway.web import context

_BUFFERED_BYTES = 64 * 1024


class _Gateway(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`; Flask looks for coroutines a dozen times a request (10 µs of 150)."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application. Opens no connection and starts nothing; raises ConfigError."""
    from gateway import admin, admin_api, api, auth, cli, logs, services
    from gateway.web import extensions

    settings = settings or Settings.load()
    logs.configure(settings.log_level.upper(), settings.log_format, tasks.system_thread)
    app = _Gateway(
        __name__,
        template_folder=str(paths.RESOURCES / "templates"),
        static_folder=str(paths.RESOURCES / "static"),
        instance_path=str(settings.data_dir),
    )
    app.config.update(settings.flask_config())
    app.url_map.merge_slashes = False
    context.attach(app, services.make(settings, extensions.init_app(app, settings)))
    for blueprint in (api.bp, auth.bp, admin.bp, admin.reference.bp, admin_api.bp):
        app.register_blueprint(blueprint)
    extensions.csrf.exempt(api.bp)
    extensions.csrf.exempt(admin_api.bp)
    cli.register(app)
    app.after_request(_bound_writing)
    app.register_error_handler(HTTPException, _no_view)
    app.wsgi_app = ServerMiddleware(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops
        )
    return app


def _bound_writing(response: Response) -> Response:
    """Have the system end a connection whose client takes nothing of an answer for too long: else
    memory and connection are held for as long as the client likes. Small answers fit into the
    system's own buffers, and nobody waits for them."""
    sock = request.environ.get("gunicorn.socket")
    size = response.content_length
    if sock is not None and (size is None or size > _BUFFERED_BYTES):
        behaviour = context.services().settings.behaviour()
        sockets.bound_writing(sock, behaviour.client_write_timeout_s)
    return response


def _no_view(error: HTTPException) -> Response:
    """Answer what no view could: pages for people, the caller's dialect for machines."""
    from gateway.api import hooks
    from gateway.web.cookies import PAGES
    from gateway.web.errors import error_page

    if request.path.startswith(PAGES):
        return error_page(error)
    if "request_id" not in g:
        g.request_id = hooks.new_request_id()
    if request.method == "OPTIONS":
        return hooks.finish(hooks.no_content())
    return hooks.finish(hooks.refuse_http(error))
