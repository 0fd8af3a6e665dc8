"""What keeps pages harmless: response headers, and where a browser may be sent after a form."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No inline script or style anywhere: text that slips into a page stays text."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_LOWEST_VISIBLE = 0x21


def protect(response: Response) -> Response:
    """Add the headers every page carries; never any CORS header."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def to_page(view: str, words: str = "", kind: str = "success", **values: Any) -> AnyResponse:
    """Lead on to a view, which shows `words` (success, warning or danger); `values` are those of
    its address."""
    if words:
        flash(words, kind)
    return redirect(url_for(view, **values), 303)


def comes_from_elsewhere() -> bool:
    """Return whether another site made the browser send this request (Fetch Metadata, Origin).

    The CSRF token is the first guard; this one also holds where a token leaked.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is not None and not is_own_origin(origin, request.host)


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an `Origin` header names the host, and port, that a request was sent to."""
    return origin.partition("://")[2] == host


def own_path(address: str | None) -> str | None:
    """Return path and query of an address of this host, None for another's or none."""
    rest = (address or "").partition("://")[2]
    return rest.removeprefix(request.host) if rest.startswith(f"{request.host}/") else None


def safe_next(target: str | None, default: str) -> str:
    """Return `target` if it is a path of ours, else `default`.

    Browsers drop tabs and newlines from addresses and read `\\` as `/`, so anything but visible
    ASCII-or-later characters after one single slash is refused: `\\t//evil`, `/\\evil`, `//evil`.
    """
    if not target or len(target) > 2_000 or target[0] != "/" or target[1:2] in {"/", "\\"}:
        return default
    if "\\" in target or any(ord(char) < _LOWEST_VISIBLE or ord(char) == 0x7F for char in target):
        return default
    return target
