"""Read the CPU time and the memory of a process and all its descendants from /proc.

CPU comes from two places. `/proc/PID/stat` counts clock ticks (10 ms) and remembers threads that
have ended; `/proc/PID/task/*/schedstat` counts nanoseconds, of living threads only. A difference of
two samples uses the nanoseconds when the same threads are there in both, else the ticks.

Memory is the sum over the tree. RSS counts a page once for each process that maps it; PSS shares it
out, so PSS is what the machine really gives and RSS what most tools show.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time used so far by a process tree."""

    ticks: dict[int, int]  # by process id
    threads: dict[int, int]  # nanoseconds by thread id


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process tree in KB of 1,024 bytes."""

    rss_kb: int
    pss_kb: int
    processes: int


def tree(pid: int) -> list[int]:
    """Return `pid` and its descendants that are alive now."""
    children: dict[int, list[int]] = {}
    for path in _PROC.iterdir():
        if path.name.isdigit():
            fields = _stat(int(path.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(path.name))
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        if _stat(parent):
            found.append(parent)
            waiting.extend(children.get(parent, []))
    return found


def cpu(pid: int) -> Cpu:
    """Sample the CPU time of the tree below `pid`."""
    ticks: dict[int, int] = {}
    threads: dict[int, int] = {}
    for process in tree(pid):
        fields = _stat(process)
        if not fields:
            continue
        ticks[process] = int(fields[11]) + int(fields[12])
        for path in (_PROC / str(process)).glob("task/*/schedstat"):
            numbers = _read(path).split()
            if numbers:
                threads[int(path.parent.name)] = int(numbers[0])
    return Cpu(ticks, threads)


def cpu_us(before: Cpu, after: Cpu) -> float:
    """Return the microseconds of CPU used between two samples of one tree."""
    if before.threads and before.threads.keys() <= after.threads.keys():
        spent = sum(ns - before.threads.get(thread, 0) for thread, ns in after.threads.items())
        return spent / 1_000
    spent = sum(t - before.ticks.get(process, 0) for process, t in after.ticks.items())
    return spent * TICK_NS / 1_000


def wait_until_quiet(pid: int, share: float = 0.03, at_most_s: float = 20.0) -> None:
    """Wait until the tree below `pid` uses less than `share` of a core, at most `at_most_s`."""
    gone_by = time.monotonic() + at_most_s
    begun, before = time.monotonic(), cpu(pid)
    while time.monotonic() < gone_by:
        time.sleep(0.5)
        now, after = time.monotonic(), cpu(pid)
        if cpu_us(before, after) < share * (now - begun) * 1e6:
            return
        begun, before = now, after


def memory(pid: int) -> Memory:
    """Sample the memory of the tree below `pid`."""
    rss = pss = 0
    processes = tree(pid)
    for process in processes:
        for line in _read(_PROC / str(process) / "smaps_rollup").splitlines():
            name, _, rest = line.partition(":")
            if name == "Rss":
                rss += int(rest.split()[0])
            elif name == "Pss":
                pss += int(rest.split()[0])
    return Memory(rss, pss, len(processes))


def _stat(pid: int) -> list[str]:
    # The name in brackets may hold blanks. What follows starts with field 3 of proc(5), the state;
    # then the parent's id, and at 11 and 12 utime and stime.
    return _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""  # it ended between the listing and the reading


def main() -> None:
    """Print CPU and memory of the tree below the process id given as the only argument."""
    pid = int(sys.argv[1])
    spent = cpu_us(Cpu({}, {}), cpu(pid)) / 1_000
    sys.stdout.write(f"{memory(pid)}\ncpu {spent:.0f} ms\n")


if __name__ == "__main__":
    main()
