"""Run as a process of its own: the client under gevent's patches, as in a worker of the gateway.

    python -m tests.ollama.gevent_client <scenario> <url> <calls>

Prints one JSON line: what came of it, and how many sockets are still open at the end.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  # after the patches, as in a worker
import os  # noqa: E402
import stat  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from gevent.fileobject import FileObject  # noqa: E402

from gateway.core.catalog import Server  # noqa: E402
from gateway.errors import GatewayError  # noqa: E402
from gateway.ollama import wire  # noqa: E402
from gateway.ollama.client import OllamaClient, Upstream  # noqa: E402

BODY = b'{"model":"llama3.2:latest","messages":[{"role":"user","content":"Hi"}]}'
CALLS = int(sys.argv[3])


def main() -> None:
    scenario, url, _ = sys.argv[1:]
    client = OllamaClient(Server(1, "one", url), connect_timeout_s=2, pool_size=200)
    found = _SCENARIOS[scenario](client)
    client.close()
    print(json.dumps({"found": found, "sockets": _open_sockets()}))


def read(client: OllamaClient, upstream: Upstream | None = None, tick_s: float = 5.0) -> str:
    """Give the kind of error, or the last word of the answer."""
    try:
        with upstream or _call(client) as call:
            call.open()
            decoder, events = wire.Decoder(), []
            for lines in call.batches(tick_s):
                events += decoder.feed(lines)
            events += decoder.end()
        return type(events[-1]).__name__
    except GatewayError as error:
        return type(error).__name__


def cancel(client: OllamaClient) -> Any:
    """Cancel many calls at once, wherever they are."""
    calls = [_call(client) for _ in range(CALLS)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda call=call: found.append(read(client, call)))
        for call in calls
    ]
    for thread in threads:
        thread.start()
    FileObject(sys.stdin).readline()  # the test says when all of them wait
    started_s = time.monotonic()
    for call in calls:
        call.cancel()
    for thread in threads:
        thread.join(10)
    return sorted(set(found)), len(found), time.monotonic() - started_s < 5


def many(client: OllamaClient) -> Any:
    """Read many answers at once, twice: the second time over the same connections."""
    found: list[str] = []
    for _ in range(2):
        threads = [
            threading.Thread(target=lambda: found.append(read(client))) for _ in range(CALLS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    return sorted(set(found)), len(found)


def stall(client: OllamaClient) -> Any:
    """Run into the limit of silence while others go on."""
    return read(client, _call(client, idle_s=0.1), tick_s=0.02)


def _call(client: OllamaClient, idle_s: float = 30.0) -> Upstream:
    return client.call("/api/chat", BODY, idle_timeout_s=idle_s, total_timeout_s=60)


def _open_sockets() -> int:
    open_files = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            mode = os.stat(f"/proc/self/fd/{name}").st_mode
        except OSError:
            continue
        open_files += stat.S_ISSOCK(mode)
    return open_files


_SCENARIOS = {"cancel": cancel, "many": many, "stall": stall}

if __name__ == "__main__":
    main()
