"""Settings of the interpreter."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from gateway.server import tuning


@pytest.fixture
def restored() -> Iterator[None]:
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restored")
def test_a_worker_leaves_what_it_loaded_to_itself() -> None:
    tuning.tune()

    assert gc.get_freeze_count() > 0
    assert sys.getswitchinterval() == pytest.approx(tuning.SWITCH_S)
