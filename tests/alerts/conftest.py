"""Alerts of workers on a store, with a clock under the test's control."""

from __future__ import annotations

from tests.services.conftest import any_store as any_store
from tests.services.conftest import clock as clock
from tests.services.conftest import store as store
from tests.services.conftest import url as url
