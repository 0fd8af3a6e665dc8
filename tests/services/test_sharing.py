"""Processes tell each other how many calls they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.services.redis_board import RedisBoard
from gateway.services.sharing import LocalBoard, Sharing
from tests.servers import Redis, running_redis
from tests.services.fleets import Bench, Seconds, server

ROOT = Path(__file__).resolve().parents[2]
NEIGHBOUR = """
import sys
from pathlib import Path
from gateway.services.sharing import LocalBoard

board = LocalBoard(Path(sys.argv[1]))
for line in sys.stdin:
    count = int(line)
    others = board.exchange({(1, "tern:latest"): count})
    print(sum(others.values()), flush=True)
"""


class Neighbour:
    """Another process with a board of its own."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NEIGHBOUR, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def runs(self, count: int) -> int:
        """Let it run so many calls; give how many it believes the others run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def neighbour(path: Path) -> Iterator[Neighbour]:
    neighbour = Neighbour(path)
    yield neighbour
    if neighbour.process.poll() is None:
        neighbour.close()


def total(board: LocalBoard | RedisBoard, mine: int = 0) -> int:
    return sum(board.exchange({(1, "tern:latest"): mine}).values())


def test_workers_of_one_machine_hear_each_other(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.runs(1)
    total(board, 2)

    assert neighbour.runs(3) == 0  # what was there before it looked may be old
    assert total(board, 5) == 3
    assert neighbour.runs(4) == 5
    board.close()


def test_a_killed_worker_counts_nothing_after_a_moment(path: Path, neighbour: Neighbour):
    clock = Seconds()
    board = LocalBoard(path, clock)
    total(board)
    neighbour.runs(1)
    total(board)
    neighbour.runs(7)
    assert total(board) == 7

    neighbour.kill()
    assert total(board) == 7
    clock.tick(3)
    assert total(board) == 0
    board.close()


def test_the_row_of_a_killed_worker_is_used_again(path: Path):
    for _ in range(3):
        neighbour = Neighbour(path)
        neighbour.runs(1)
        neighbour.kill()
    board = LocalBoard(path)
    total(board, 1)

    assert board._row == 0
    board.close()


def test_a_row_that_is_being_written_is_not_read(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.runs(0)
    total(board)
    neighbour.runs(4)
    assert total(board) == 4
    row = 1 - (board._row or 0)
    memory = board._memory
    assert memory is not None
    number = int.from_bytes(memory[row * 16_384 : row * 16_384 + 8], "little")
    memory[row * 16_384 : row * 16_384 + 8] = (number + 1).to_bytes(8, "little")
    memory[row * 16_384 + 20 : row * 16_384 + 30] = b"garbage..."

    assert total(board) == 4
    board.close()


def test_nonsense_of_another_process_counts_nothing(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.runs(0)
    total(board)
    neighbour.runs(4)
    row = 1 - (board._row or 0)
    memory = board._memory
    assert memory is not None
    memory[row * 16_384 + 20 : row * 16_384 + 30] = b"garbage..."

    assert total(board) == 0
    board.close()


def test_more_counts_than_fit_are_cut_to_the_largest(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    many = {(number, "m" * 100): number for number in range(500)}
    many[(1, "tern:latest")] = 10_000
    board.exchange(many)
    neighbour.runs(0)
    board.exchange(many)

    assert neighbour.runs(0) >= 10_000
    board.close()


def test_a_board_closes_without_ever_being_used(path: Path):
    LocalBoard(path).close()

    assert not path.exists()


# With Redis


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with running_redis() as found:
        yield found


def boards(server: Redis, clock: Seconds) -> tuple[RedisBoard, RedisBoard]:
    first, second = RedisBoard.at(server.url), RedisBoard.at(server.url)
    for board in (first, second):
        board._clock = clock
        board._redis.delete("o2a:calls")
        board.exchange({})
    first.exchange({})
    return first, second


@pytest.mark.services
def test_instances_hear_each_other_through_redis(redis_server: Redis):
    first, second = boards(redis_server, Seconds())
    total(first, 3)
    total(second, 2)

    assert total(first, 3) == 2
    assert total(second, 2) == 3
    first.close()
    assert total(second, 2) == 0
    second.close()


@pytest.mark.services
def test_an_instance_that_is_silent_counts_nothing_and_is_forgotten(redis_server: Redis):
    clock = Seconds()
    first, second = boards(redis_server, clock)
    total(second, 2)
    assert total(first) == 2

    clock.tick(3)
    assert total(first) == 0
    clock.tick(60)
    total(first)
    assert first._redis.hlen("o2a:calls") == 1
    first.close()
    second.close()


def test_redis_that_is_away_is_left_alone_for_a_moment():
    clock = Seconds()
    board = RedisBoard.at("redis://127.0.0.1:1/0")
    board._clock = clock

    with pytest.raises(ConnectionError):
        board.exchange({})
    assert board.exchange({}) == {}
    clock.tick(5)
    with pytest.raises(ConnectionError):
        board.exchange({})


# The job


class Echo:
    """A board that gives what it is told to."""

    def __init__(self) -> None:
        self.others: dict[tuple[int, str], int] | Exception = {}
        self.mine: list[object] = []
        self.closed = False

    def exchange(self, mine):
        self.mine.append(mine)
        if isinstance(self.others, Exception):
            raise self.others
        return self.others

    def close(self) -> None:
        self.closed = True


def test_calls_of_others_take_slots_here(caplog: pytest.LogCaptureFixture):
    bench, board = Bench(server(1, slots=2)), Echo()
    sharing = Sharing(bench.fleet, board)
    assert not sharing.turn()
    board.others = {(1, "tern:latest"): 1}
    bench.run()

    assert sharing.turn()
    assert board.mine[-1] == {(1, "tern:latest"): 1}
    ticket = bench.ask()
    assert ticket.wait(0) is None

    board.others = ConnectionError("away")
    sharing.turn()
    sharing.turn()
    assert ticket.wait(0) is not None
    assert len(caplog.records) == 1


def test_the_job_ends_and_takes_its_counts_away():
    board = Echo()
    sharing = Sharing(Bench(server(1)).fleet, board)
    sharing.start()
    sharing.stop()

    assert board.closed
