"""How long a routing decision takes, and what many servers costs.

    python -m benchmarks.routing_bench

Prints processor time, as the median of several rounds: the pure choice among 1 to 50 servers; a
whole ticket-to-release in the scheduler; a full queue of 512 calls; taking in a catalogue of 50
servers with 200 models each; looking up a name in it; and the state of all servers for the console.
No network is touched.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.catalog import Model
from gateway.ollama.client import OllamaClient
from gateway.policy.routing import Index
from gateway.policy.server_choice import choose
from gateway.scheduling.scheduler import Scheduler
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings

ROUNDS = 9
SERVERS, MODELS = 50, 200


@dataclass(slots=True)
class At:
    """A place with a free slot and the model in memory."""

    server_id: int
    weight: int = 1
    open: bool = True
    cooling_down: bool = False
    slots: int = 4
    in_flight: int = 0
    other_models_in_flight: int = 0
    context_tokens: int = 8192


def each_us(work: Callable[[int], object], count: int) -> float:
    """Give the median time of one call of `work`, microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        start_s = time.thread_time()
        for number in range(count):
            work(number)
        rounds.append((time.thread_time() - start_s) / count * 1e6)
    return statistics.median(rounds)


def show(what: str, took_us: float) -> None:
    """Print one line of the table."""
    text = f"{took_us:10.1f} µs" if took_us < 10_000 else f"{took_us / 1000:10.1f} ms"
    print(f"{what:<64}{text}")


def the_choice() -> None:
    """Time the pure decision."""
    for count in (1, 3, 10, 50):
        places = [At(number) for number in range(count)]
        show(
            f"choose among {count}, no conversation",
            each_us(lambda _, p=places: choose(p, num_ctx=8192), 2000),
        )
        show(
            f"choose among {count}, by conversation",
            each_us(lambda _, p=places: choose(p, num_ctx=8192, prefix="conversation"), 2000),
        )


def the_scheduler() -> None:
    """Time tickets in a scheduler of 50 servers with 200 models each."""
    servers = [Server(n, f"s{n}", f"http://127.0.0.1:{n}", slots=4) for n in range(1, SERVERS + 1)]
    ids = tuple(server.id for server in servers)
    models = [Model(n, f"model-{n}:7b", f"model-{n}:7b", server_ids=ids) for n in range(MODELS)]
    names = frozenset(model.name for model in models)
    behaviour = RuntimeSettings()
    scheduler = Scheduler(lambda server: OllamaClient(server, pool_size=1), lambda: behaviour)
    listed = dict.fromkeys(ids, names)
    scheduler.know(servers, listed)
    key = Key(1, "bench", "sk-o2a-be")

    def run(number: int) -> None:
        slot = scheduler.ticket(models[number % MODELS], key, prefix="conversation").wait(0)
        assert slot is not None
        slot.on_first_token()
        slot.report(None)
        slot.release()

    for number in range(MODELS):
        run(number)
    show(f"ticket to release, {SERVERS} servers x {MODELS} models", each_us(run, 1000))
    few = Model(0, "few:7b", "few:7b", server_ids=ids[:3])
    models[0] = few
    show("ticket to release, 3 of 50 servers have the model", each_us(lambda _: run(0), 1000))
    show("take in a changed catalogue", each_us(lambda _: scheduler.know(servers, listed), 20))
    show(
        "let time have its effect (five times a second)",
        each_us(lambda _: scheduler.on_time_passed(), 20),
    )
    show("state of all servers for the console", each_us(lambda _: scheduler.views(), 20))
    show("build the index of names", each_us(lambda _: Index(models), 20))
    index = Index(models)
    show("look up a name", each_us(lambda n: index.find(f"model-{n % MODELS or 1}:7b"), 2000))
    a_full_queue(scheduler, few, key)


def a_full_queue(scheduler: Scheduler, model: Model, key: Key) -> None:
    """Time joining and serving when 500 calls of 50 keys wait."""
    running = []
    ticket = scheduler.ticket(model, key)
    while (slot := ticket.wait(0)) is not None:
        running.append(slot)
        ticket = scheduler.ticket(model, key)
    ticket.close()
    keys = [Key(number, f"k{number}", "sk-o2a-be") for number in range(2, 52)]
    waiting = [scheduler.ticket(model, keys[number % 50]) for number in range(450)]
    show("place in a queue of 450", each_us(lambda n: waiting[n % 450].ahead, 2000))

    def join_and_leave(number: int) -> None:
        scheduler.ticket(model, keys[number % 50]).close()

    show("join and leave a queue of 450", each_us(join_and_leave, 500))
    rounds = []
    for _ in range(400):
        slot = running.pop(0)
        start_s = time.thread_time()
        slot.release()
        rounds.append((time.thread_time() - start_s) * 1e6)
        served = next(ticket for ticket in waiting if ticket.slot is not None)
        waiting.remove(served)
        taken = served.wait(0)
        assert taken is not None
        running.append(taken)
    show("release a slot to a queue of 450", statistics.median(rounds))


if __name__ == "__main__":
    the_choice()
    the_scheduler()
