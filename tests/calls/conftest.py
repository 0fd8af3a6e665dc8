"""Fixtures of the tests of calls: those of the services, on the same stores."""

from __future__ import annotations

from tests.services.conftest import any_store, clock

__all__ = ["any_store", "clock"]
