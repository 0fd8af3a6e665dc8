"""The memory of a server as it is drawn: what is where, what is free, and that it adds up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import Loaded
from gateway.reports.memory import COLOURS, GIB, WHOLE, ServerMemory, server_memory

GB = 1_000_000_000
_sizes = st.integers(0, 10**13)
_names = st.from_regex(r"[a-z]{1,8}:[a-z0-9]{1,6}", fullmatch=True)
_models = st.builds(Loaded, name=_names, size_bytes=_sizes, vram_bytes=_sizes)
_lists = st.lists(_models, max_size=20, unique_by=lambda one: one.name)


def drawn(*loaded: Loaded, vram_gb: int = 0, seen_bytes: int = 0) -> ServerMemory:
    return server_memory(loaded, vram_gb=vram_gb, seen_bytes=seen_bytes)


@given(_lists, st.integers(0, 100_000), _sizes)
def test_the_pieces_fill_the_bar_exactly(
    loaded: list[Loaded], vram_gb: int, seen_bytes: int
) -> None:
    found = drawn(*loaded, vram_gb=vram_gb, seen_bytes=seen_bytes)
    ends = [segment.x + segment.width for segment in found.segments]

    assert [segment.x for segment in found.segments] == [0, *ends][: len(ends)]
    assert ends[-1:] in ([], [WHOLE])
    assert all(segment.width >= 0 and segment.size_bytes > 0 for segment in found.segments)


@given(_lists, st.integers(0, 100_000), _sizes)
def test_sizes_are_counted_once(loaded: list[Loaded], vram_gb: int, seen_bytes: int) -> None:
    found = drawn(*loaded, vram_gb=vram_gb, seen_bytes=seen_bytes)
    by_place = {
        place: sum(one.size_bytes for one in found.segments if one.place == place)
        for place in ("gpu", "free", "ram")
    }

    assert by_place == {
        "gpu": found.vram_bytes,
        "free": found.free_bytes,
        "ram": found.ram_bytes,
    }
    assert found.free_bytes == max(found.total_bytes - found.vram_bytes, 0)
    assert found.vram_bytes <= found.total_bytes or "total_too_small" in found.warnings
    assert all(1 <= one.colour <= COLOURS for one in found.models)


def test_ram_stands_behind_what_is_free_on_the_gpu() -> None:
    found = drawn(Loaded("big:latest", 12 * GIB, 8 * GIB), Loaded("small:latest", 2 * GIB, 2 * GIB),
                  vram_gb=12)  # fmt: skip

    assert [(one.place, one.model, one.size_bytes // GIB) for one in found.segments] == [
        ("gpu", "big:latest", 8),
        ("gpu", "small:latest", 2),
        ("free", "", 2),
        ("ram", "big:latest", 4),
    ]
    assert [one.width for one in found.segments] == [500, 125, 125, 250]
    assert found.warnings == ("partly_cpu",)


def test_a_typed_total_that_is_too_small_is_said() -> None:
    found = drawn(Loaded("big:latest", 9 * GIB, 9 * GIB), vram_gb=8)

    assert found.warnings == ("total_too_small",)
    assert (found.total_bytes, found.free_bytes) == (8 * GIB, 0)
    assert [one.width for one in found.segments] == [WHOLE]


def test_what_was_seen_is_the_least_there_is() -> None:
    loaded = Loaded("big:latest", 6 * GB, 6 * GB)
    before, now = drawn(seen_bytes=20 * GB), drawn(loaded, seen_bytes=4 * GB)

    assert (before.total_bytes, before.total_from, before.free_bytes) == (20 * GB, "seen", 20 * GB)
    assert (now.total_bytes, now.total_from, now.free_bytes) == (6 * GB, "seen", 0)


def test_a_server_without_a_gpu_has_ram_only() -> None:
    found = drawn(Loaded("tern:latest", 3 * GB))

    assert [(one.place, one.width) for one in found.segments] == [("ram", WHOLE)]
    assert (found.total_bytes, found.total_from) == (0, "unknown")
    assert found.warnings == ("only_cpu",)


def test_nothing_loaded_and_nothing_known_draws_nothing() -> None:
    assert drawn().segments == ()


def test_a_model_of_unknown_size_is_listed_and_not_drawn() -> None:
    found = drawn(Loaded("tern:latest"), vram_gb=24)

    assert [(one.loaded.name, one.size_bytes) for one in found.models] == [("tern:latest", 0)]
    assert [one.place for one in found.segments] == ["free"]


def test_a_model_of_the_cloud_takes_no_memory_here() -> None:
    found = drawn(Loaded("glm-4.6:cloud", 5 * GB, 5 * GB))

    assert (found.models, found.segments) == ((), ())
