"""Every dialect tells every recording as it did when somebody last read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import golden

PAIRS = [
    pytest.param(sample, recording, id=f"{sample.dialect.name}-{recording.stem}")
    for sample in golden.DIALECTS
    for recording in golden.recordings()
]


@pytest.mark.parametrize(("sample", "recording"), PAIRS)
def test_a_recording_is_told_as_before(sample: golden.Sample, recording: Path) -> None:
    for path, content in golden.files(sample, recording):
        assert path.is_file(), f"{path.name} is missing; run python -m tests.support.golden"
        assert content.decode() == path.read_bytes().decode()


def test_no_golden_file_is_left_over() -> None:
    wanted = set(golden.all_files())

    assert {path for path in golden.GOLDEN.rglob("*") if path.is_file()} == wanted


def test_there_are_recordings_to_tell() -> None:
    assert len(golden.recordings()) > 30
