"""The application for a WSGI server started in this folder: `wsgi:app`."""

from gateway.wsgi import app

__all__ = ["app"]
