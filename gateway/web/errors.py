"""Pages for what went wrong: gone, forbidden, too late, or a fault of ours."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Blueprint, Response, g, make_response, render_template, request
from flask.globals import request_ctx
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from gateway.errors import ClientGone, GatewayError, NotFound
from gateway.web.security import protect
from gateway.web.words import _, translated

log = logging.getLogger(__name__)


def answer_with_pages(bp: Blueprint) -> None:
    """Have a blueprint answer refusals and faults with pages, and protect whatever it answers."""
    bp.after_request(protect)
    bp.register_error_handler(HTTPException, error_page)
    bp.register_error_handler(GatewayError, refusal_page)
    bp.register_error_handler(Exception, fault_page)


def error_page(error: HTTPException) -> Response:
    """Return the page for an HTTP error, with a way on."""
    status = error.code or 500
    if error.response is not None and 300 <= status < 400:
        return protect(make_response(error.get_response()))
    if request_ctx.url_adapter is None:  # the Host header made no sense: no address can be made
        return protect(Response("Bad request.", HTTPStatus.BAD_REQUEST, mimetype="text/plain"))
    response = _page(status, *_words(error, status))
    if status == 405 and "Allow" in dict(error.get_headers()):
        response.headers["Allow"] = dict(error.get_headers())["Allow"]
    return response


def refusal_page(error: GatewayError) -> Response:
    """Return the page for what the gateway refused, such as a body that came too slowly or a
    question to a database that does not answer: nothing was changed."""
    if isinstance(error, ClientGone):  # strangers leave by the thousand: no page for nobody
        return protect(Response(error.message, error.status, mimetype="text/plain"))
    title, words = _words(error, error.status)
    if not isinstance(error, NotFound):
        words = translated(error.message)
    response = _page(error.status, title, words)
    response.headers.update(error.headers)
    return response


def fault_page(error: Exception) -> Response:
    """Return the page for a fault of ours: a reference to the log, nothing of what happened."""
    log.exception("fault on page %s", request.endpoint)
    words = _("The page could not be created. The log has the details.")
    return _page(500, _("Something went wrong on our side"), words, g.get("request_id", ""))


def _page(status: int, title: str, words: str, reference: str = "") -> Response:
    told = {"status": status, "title": title, "words": words, "reference": reference}
    return protect(make_response(render_template("error.html", **told), status))


def _words(error: Exception, status: int) -> tuple[str, str]:
    if isinstance(error, CSRFError):
        return (
            _("This form has expired"),
            _("For your safety it was not sent. Go back, reload the page and try again."),
        )
    known = {
        400: (_("Invalid request"), _("Go back, check the form and try again.")),
        403: (_("Permission denied"), _("Your role does not allow this. Ask an owner.")),
        404: (
            _("Page not found"),
            _("It may have been deleted in another window, or the address has a typo."),
        ),
        405: (_("This page cannot be opened directly"), _("Use the buttons of the console.")),
        409: (_("Changed by someone else"), _("Reload the page to see what changed.")),
        413: (_("Upload too large"), _("Send a smaller file.")),
        429: (_("Too many attempts"), _("Wait a little and try again.")),
        503: (_("Not available right now"), _("Try again in a moment.")),
    }
    return known.get(status, (_("Something went wrong"), _("Go back and try again.")))
