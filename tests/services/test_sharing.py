"""Processes make one line of theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.core.keys import Key
from gateway.errors import Unavailable
from gateway.policy.elsewhere import PATIENCE_S, Run, Told
from gateway.scheduling.local_board import HEAD, ROW_BYTES, LocalBoard
from gateway.scheduling.neighbours import EMPTY, Calls, Row, decode, encode
from gateway.scheduling.redis_board import HASH, TURN, RedisBoard
from gateway.scheduling.sharing import InPassing, OnRequest
from gateway.scheduling.tickets import Slot, Ticket
from tests.servers import Redis, running_redis
from tests.services.fleets import ALICE, BOB, Bench, Seconds, model, server

ROOT = Path(__file__).resolve().parents[2]
TERN = "tern:latest"
NEIGHBOUR = """
import sys
from pathlib import Path
from gateway.scheduling.local_board import LocalBoard
from gateway.scheduling.neighbours import Calls, Row

board = LocalBoard(Path(sys.argv[1]))
board.open()
print("ready", flush=True)
for line in sys.stdin:
    rows = board.begin()
    if line.strip() != "hold":
        board.end(Row((Calls(1, "tern:latest", int(line), 0, 1),)))
    print(sum(calls.running for row in rows.values() for calls in row.calls), flush=True)
"""


def running(count: int, *, answering: int = 0, slots: int = 1) -> Row:
    """Give the row of a process that runs so many calls on server 1."""
    return Row((Calls(1, TERN, count, answering, slots),))


def total(rows: Mapping[str, Row]) -> int:
    return sum(calls.running for row in rows.values() for calls in row.calls)


# What processes tell


def test_a_row_is_read_as_it_was_written():
    row = Row((Calls(1, TERN, 2, 1, 4),), {TERN: Told(7, (Run(1, None, 7, 9, 2, (3,)),))})

    assert decode(encode(row, ROW_BYTES)) == row


@pytest.mark.parametrize("data", [b"", b"garbage", b"[[[1]]]", b"\xff", b"{}", '[[["1",2]],{}]'])
def test_nonsense_tells_nothing(data: bytes | str):
    assert decode(data) == EMPTY


def test_what_does_not_fit_is_cut_at_the_ends_of_the_lines():
    runs = tuple(Run(1, key, key, key, 1) for key in range(2000))
    row = Row((Calls(1, TERN, 2, 1, 4),), {TERN: Told(7, runs)})

    found = decode(encode(row, 4096))

    assert found.calls == row.calls
    assert found.lines[TERN].served == 7
    kept = found.lines[TERN].runs
    assert 10 < len(kept) < 200
    assert kept == runs[: len(kept)]


def test_of_too_many_models_those_with_most_calls_are_told():
    calls = tuple(Calls(number, "m" * 100, number, 0, 1) for number in range(500))

    found = decode(encode(Row(calls), 4096))

    assert 0 < len(found.calls) < 40
    assert found.calls[0].running == 499


# Several dispatchers, in logical order


class Table:
    """A board in memory that all processes of a test share."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.is_away = False
        self.taken = 0


class Place:
    """One process's place at the table."""

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._name = name
        self.ended = 0

    def open(self) -> str:
        return self._name

    def begin(self) -> Mapping[str, Row] | None:
        if self._table.is_away:
            raise ConnectionError("away")
        self._table.taken += 1
        return {name: row for name, row in self._table.rows.items() if name != self._name}

    def end(self, mine: Row) -> None:
        self.ended += 1
        self._table.rows[self._name] = decode(encode(mine, ROW_BYTES))

    def exchange(self, mine: Row) -> Mapping[str, Row]:
        rows = self.begin() or {}
        self.end(mine)
        self._table.taken -= 1
        return rows

    def close(self) -> None:
        self._table.rows.pop(self._name, None)


class Workers:
    """Fleets of several processes at one table; nothing happens but what a test asks for."""

    def __init__(self, number: int, *, instant: bool, slots: int = 1, **behaviour: int) -> None:
        self.table = Table()
        self.clock = Seconds()
        self.benches = [Bench(server(1, slots=slots), **behaviour) for _ in range(number)]
        kind = InPassing if instant else OnRequest
        self.sharing = []
        for at, bench in enumerate(self.benches):
            bench.fleet._clock = bench.fleet.dispatcher._clock = self.clock
            place = Place(self.table, "abcdefgh"[at])
            sharing = kind(bench.fleet, place, self.clock)
            sharing._dispatcher.lines.me = place.open()
            sharing._meet()
            self.sharing.append(sharing)
        self.waiting: list[tuple[str, Ticket]] = []
        self.served: list[str] = []

    def beat(self) -> None:
        """Let everybody take a turn until all know what the others know."""
        for _ in range(2):
            for sharing in self.sharing:
                sharing.turn()

    def call(self, at: int, key: Key, name: str) -> Ticket:
        ticket = self.benches[at].ask(key=key)
        self.waiting.append((name, ticket))
        return ticket

    def run_all(self) -> list[str]:
        """Let one call after the other run to its end; give their names in order."""
        while self.waiting:
            self.beat()
            begun = [(name, slot) for name, t in self.waiting if (slot := t.wait(0)) is not None]
            assert begun, f"nobody is served: {self.waiting}"
            names = {name for name, _ in begun}
            self.waiting = [(name, t) for name, t in self.waiting if name not in names]
            for name, slot in begun:
                self.served.append(name)
                slot.release()
        return self.served


@pytest.fixture(params=["in passing", "on request"])
def two(request: pytest.FixtureRequest) -> Workers:
    return Workers(2, instant=request.param == "in passing")


def hold(workers: Workers, at: int = 0) -> Slot:
    """Occupy the only slot."""
    ticket = workers.benches[at].ask()
    workers.beat()
    slot = ticket.wait(0)
    assert slot is not None
    return slot


def test_a_slot_one_process_gave_is_not_given_by_another(two: Workers):
    slot = hold(two)
    ticket = two.call(1, BOB, "b1")
    two.beat()
    assert ticket.wait(0) is None

    slot.release()
    two.beat()

    assert ticket.wait(0) is not None


def test_keys_take_turns_across_processes(two: Workers):
    slot = hold(two)
    for number in range(5):
        two.call(0, ALICE, f"alice {number}")
        two.beat()
    for number in range(3):
        two.call(1, BOB, f"bob {number}")
        two.beat()
    slot.release()

    order = two.run_all()

    assert sorted(order[:6]) == [f"{who} {n}" for who in ("alice", "bob") for n in range(3)]
    for at in (0, 2, 4):
        assert {name.split()[0] for name in order[at : at + 2]} == {"alice", "bob"}
    assert order[6:] == ["alice 3", "alice 4"]


def test_a_flood_through_both_processes_is_one_flood(two: Workers):
    slot = hold(two)
    for number in range(20):
        two.call(number % 2, ALICE, f"alice {number:02}")
        two.beat()
    two.call(1, BOB, "bob")
    two.beat()
    slot.release()

    order = two.run_all()

    assert order.index("bob") <= 2
    assert [name for name in order if name != "bob"] == [f"alice {n:02}" for n in range(20)]


def test_interactive_goes_first_wherever_it_came(two: Workers):
    slot = hold(two)
    urgent = Key(id=3, name="carol", prefix="sk-o2a-cc", priority="interactive")
    for number in range(3):
        two.call(0, ALICE, f"alice {number}")
    two.beat()
    two.call(1, urgent, "urgent")
    two.beat()
    slot.release()

    assert two.run_all()[0] == "urgent"


def test_places_count_all_processes(two: Workers):
    slot = hold(two)
    first = two.call(0, ALICE, "1")
    two.beat()
    second = two.call(1, ALICE, "2")
    two.beat()

    assert first.ahead == (1, 2)
    assert second.ahead == (2, 2)
    for bench in two.benches:
        assert bench.fleet.in_line() == {TERN: 2}
        assert bench.fleet.views()[0].in_flight == {TERN: 1}
    assert two.benches[1].fleet.waiting() == {TERN: 1}
    slot.release()


def test_who_leaves_elsewhere_makes_place_here(two: Workers):
    slot = hold(two)
    first = two.call(0, ALICE, "1")
    two.beat()
    second = two.call(1, ALICE, "2")
    two.beat()
    first.cancel()
    two.beat()

    assert second.position == 1
    slot.release()
    two.beat()
    assert second.wait(0) is not None


@pytest.mark.parametrize("instant", [True, False])
def test_the_longest_line_is_that_of_all_processes(instant: bool):
    two = Workers(2, instant=instant, queue_max_waiting=4)
    slot = hold(two)
    for number in range(4):
        two.call(number % 2, ALICE, f"alice {number}")
        two.beat()

    with pytest.raises(Unavailable) as refused:
        two.benches[0].ask(key=ALICE)
    assert refused.value.code == "upstream_busy"

    two.waiting[1][1].cancel()  # now all that wait are in the first process
    two.waiting.pop(1)
    two.waiting.pop(2)[1].cancel()
    two.beat()
    for number in range(4, 6):
        two.call(0, ALICE, f"alice {number}")
    two.beat()
    bob = two.call(1, BOB, "bob")
    two.beat()
    ended = [name for name, ticket in two.waiting if ticket.error is not None]

    assert ended == ["alice 5"]
    assert bob.position
    slot.release()


def test_a_process_that_hangs_keeps_no_slot_empty(two: Workers):
    slot = hold(two)
    two.call(0, ALICE, "hung")
    two.beat()
    ticket = two.call(1, ALICE, "mine")
    two.beat()
    two.sharing[0].turn = lambda: None  # it is not heard of again
    slot_lane = slot.lane
    two.table.rows["a"] = two.table.rows["a"]._replace(calls=())  # but its call has ended
    for _ in range(2):
        two.sharing[1].turn()
    assert ticket.wait(0) is None

    two.clock.tick(PATIENCE_S)
    two.sharing[1].turn()

    assert ticket.wait(0) is not None
    assert slot_lane is not None


def test_a_process_that_ended_is_not_waited_for(two: Workers):
    hold(two)
    two.call(0, ALICE, "gone")
    two.beat()
    ticket = two.call(1, ALICE, "mine")
    two.beat()

    del two.table.rows["a"]
    two.sharing[1].turn()

    assert ticket.wait(0) is not None


@pytest.mark.parametrize("instant", [True, False])
def test_slots_proven_by_one_process_are_known_to_all(instant: bool):
    two = Workers(2, instant=instant, slots=0)
    slots = []
    for _ in range(4):
        ticket = two.benches[0].ask()
        two.beat()
        while (slot := ticket.wait(0)) is not None:
            slot.on_first_token()
            slots.append(slot)
            ticket = two.benches[0].ask()
            two.beat()
        ticket.cancel()
        two.clock.tick(6)
        two.benches[0].fleet.tick()
    assert len(slots) >= 4
    for slot in slots[2:]:
        slot.release()
    two.beat()

    other = two.benches[1].ask()
    two.beat()

    assert other.wait(0) is not None


@pytest.mark.parametrize("instant", [True, False])
def test_whoever_cannot_reach_the_board_goes_on_alone(
    instant: bool, caplog: pytest.LogCaptureFixture
):
    two = Workers(2, instant=instant)
    hold(two)
    ticket = two.call(1, BOB, "b")
    two.beat()
    assert ticket.wait(0) is None

    two.table.is_away = True
    two.sharing[1].turn()
    two.sharing[1].turn()
    assert ticket.wait(0) is not None
    direct = two.benches[0].ask()
    assert direct.wait(0) is None  # the slot it gave itself is taken
    assert len([one for one in caplog.records if one.levelname == "WARNING"]) <= 2

    two.table.is_away = False
    two.beat()
    late = two.call(1, BOB, "late")
    two.beat()
    assert late.wait(0) is None


def test_a_model_with_many_free_slots_is_served_without_asking():
    two = Workers(2, instant=False, slots=64)
    taken = two.table.taken

    slots = [two.benches[0].ask().wait(0) for _ in range(40)]

    assert all(slots)
    assert two.table.taken == taken


def test_a_line_begins_where_the_others_are():
    """A process that served many calls long ago is not behind others that began later."""
    two = Workers(2, instant=True)
    for _ in range(50):
        hold(two, 0).release()
    slot = hold(two, 1)
    for number in range(10):
        two.call(1, ALICE, f"alice {number}")
    two.call(0, BOB, "bob")
    slot.release()

    assert two.run_all().index("bob") <= 2


def test_lines_of_idle_models_are_forgotten(two: Workers):
    hold(two).release()
    two.beat()

    assert not two.benches[0].fleet.dispatcher.lines
    assert two.table.rows["a"] == EMPTY


def test_calls_for_a_model_unknown_here_are_passed_over(two: Workers):
    two.table.rows["c"] = Row((Calls(9, "gull", 3, 0, 1),), {"gull": Told(1, ())})

    assert hold(two, 0)


# Workers of one machine


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
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def tells(self, what: int | str) -> int:
        """Let it run so many calls; give how many it believes the others run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
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
    return tmp_path / "line"


@pytest.fixture
def neighbour(path: Path) -> Iterator[Neighbour]:
    neighbour = Neighbour(path)
    yield neighbour
    if neighbour.process.poll() is None:
        neighbour.close()


def tell(board: LocalBoard | RedisBoard, count: int = 0) -> int:
    """Take the turn and tell; give how many calls the others run."""
    rows = board.begin()
    assert rows is not None
    board.end(running(count))
    return total(rows)


def test_workers_of_one_machine_hear_each_other_at_once(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    assert neighbour.tells(1) == 0

    assert tell(board, 2) == 1
    assert neighbour.tells(3) == 2
    assert tell(board, 5) == 3
    late = Neighbour(path)
    assert late.tells(4) == 8
    assert tell(board, 5) == 7
    late.close()
    board.close()


def test_what_has_not_changed_is_the_same_object(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.tells(1)
    tell(board)

    first = board.begin()
    board.end(EMPTY)
    neighbour.tells(1)
    second = board.begin()
    board.end(EMPTY)

    assert first is second
    board.close()


def test_whoever_is_alone_takes_no_turn_until_another_comes(path: Path):
    board = LocalBoard(path, Seconds())
    for _ in range(2):
        assert board.begin() == {}
        board.end(EMPTY)

    board.begin()  # and does not end
    other = Neighbour(path)
    assert other.tells("hold") == 0  # nor is it waited for
    other.tells(6)
    board.end(EMPTY)

    assert tell(board, 3) == 6
    assert other.tells(1) == 3
    other.close()
    board.close()


def test_a_killed_worker_counts_nothing_after_a_moment(path: Path, neighbour: Neighbour):
    clock = Seconds()
    board = LocalBoard(path, clock)
    neighbour.tells(7)
    assert tell(board) == 7

    neighbour.kill()
    clock.tick(0.5)
    assert tell(board) == 0
    board.close()


def test_a_worker_that_ends_counts_nothing_at_once(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    assert tell(board, 4) == 0
    assert neighbour.tells(0) == 4

    board.close()

    assert neighbour.tells(0) == 0


def test_the_row_of_a_killed_worker_is_used_again(path: Path):
    for _ in range(3):
        neighbour = Neighbour(path)
        neighbour.tells(1)
        neighbour.kill()
    board = LocalBoard(path)

    assert board.open() == "00"
    assert tell(board) == 0
    board.close()


def test_a_row_that_is_being_written_is_not_read(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.tells(4)
    assert tell(board) == 4
    memory, start = board._memory, (1 - (board._row or 0)) * ROW_BYTES
    assert memory is not None
    number, length = HEAD.unpack_from(memory, start)
    HEAD.pack_into(memory, start, number + 1, length)
    memory[start + HEAD.size : start + HEAD.size + 10] = b"garbage..."

    assert tell(board) == 4
    board.close()


def test_a_worker_that_stops_during_its_turn_holds_nobody_up(path: Path, neighbour: Neighbour):
    board = LocalBoard(path)
    neighbour.tells(3)
    neighbour.tells("hold")
    os.kill(neighbour.process.pid, signal.SIGSTOP)
    try:
        assert tell(board, 1) == 3
    finally:
        os.kill(neighbour.process.pid, signal.SIGCONT)
    board.close()


def test_a_worker_that_is_killed_during_its_turn_gives_it_back(path: Path, neighbour: Neighbour):
    board = LocalBoard(path, Seconds())  # whose clock stands still: it would wait for ever
    neighbour.tells("hold")
    neighbour.kill()

    assert tell(board, 1) == 0
    board.close()


def test_a_board_closes_without_ever_being_used(path: Path):
    LocalBoard(path).close()

    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    bench = Bench(server(1, slots=2))
    sharing = InPassing(bench.fleet, LocalBoard(tmp_path / "missing" / "line"))
    sharing.start()

    bench.run()
    bench.run()
    sharing.stop()

    assert [one.levelname for one in caplog.records].count("WARNING") == 1


# With Redis


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with running_redis() as found:
        yield found


def boards(server: Redis, clock: Seconds) -> tuple[RedisBoard, RedisBoard]:
    first, second = RedisBoard.at(server.url), RedisBoard.at(server.url)
    first._redis.delete(HASH, TURN)
    for board in (first, second):
        board._clock = clock
        board._sleep = lambda seconds: None
        board.exchange(EMPTY)
    first.exchange(EMPTY)
    return first, second


@pytest.mark.services
def test_instances_hear_each_other_through_redis(redis_server: Redis):
    first, second = boards(redis_server, Seconds())
    tell(first, 3)
    tell(second, 2)

    assert tell(first, 3) == 2
    assert total(second.exchange(running(2))) == 3
    first.close()
    assert tell(second, 2) == 0
    second.close()


@pytest.mark.services
def test_the_turn_is_one_instances_at_a_time(redis_server: Redis):
    first, second = boards(redis_server, Seconds())
    assert first.begin() is not None

    assert second.begin() is None
    second.end(EMPTY)  # gives back nothing that is not its own
    assert second.begin() is None
    first.end(running(1))
    rows = second.begin()
    assert rows is not None
    assert total(rows) == 1
    second.end(EMPTY)
    for board in (first, second):
        board.close()


@pytest.mark.services
def test_the_turn_of_an_instance_that_was_killed_ends(redis_server: Redis):
    first, second = boards(redis_server, Seconds())
    first.begin()

    assert 0 < first._redis.pttl(TURN) <= 500
    first._redis.pexpire(TURN, 1)
    while first._redis.exists(TURN):
        pass
    assert second.begin() is not None
    second.end(EMPTY)


@pytest.mark.services
def test_an_instance_that_is_silent_tells_nothing_and_is_forgotten(redis_server: Redis):
    clock = Seconds()
    first, second = boards(redis_server, clock)
    tell(second, 2)
    assert tell(first) == 2

    clock.tick(3)
    assert tell(first) == 0
    clock.tick(60)
    tell(first)
    assert first._redis.hlen(HASH) == 1
    first.close()
    second.close()


def test_redis_that_is_away_is_left_alone_for_a_moment():
    clock = Seconds()
    board = RedisBoard.at("redis://127.0.0.1:1/0")
    board._clock = clock

    with pytest.raises(ConnectionError, match="Connection refused"):
        board.exchange(EMPTY)
    with pytest.raises(ConnectionError, match="left alone"):
        board.begin()
    clock.tick(5)
    with pytest.raises(ConnectionError, match="Connection refused"):
        board.exchange(EMPTY)


# The job


@pytest.mark.parametrize("kind", [InPassing, OnRequest])
def test_the_job_serves_whoever_waits_and_takes_its_row_away(kind: type[InPassing | OnRequest]):
    bench, table = Bench(server(1, slots=1)), Table()
    sharing = kind(bench.fleet, Place(table, "a"))
    sharing.start()
    slot = bench.ask(model(1)).wait(5)
    assert slot is not None
    second = bench.ask(model(1))
    slot.release()

    assert second.wait(5) is not None
    sharing.stop()
    assert not table.rows
    assert bench.fleet.dispatcher.ask is None
