"""Data folders that can be made full: a small file system of their own, or files that cannot grow.

The first is what happens to people, and needs the right to mount; the second needs no right.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.process import Gateway

SIZE = "16m"
_MOVE_IN = """
mount -t tmpfs -o size="$0",mode=0700 none "$1.disk"
cp -a "$1/." "$1.disk"
mount --move "$1.disk" "$1"
shift
exec "$@"
"""
"""Puts a small disk, with what the data folder holds, in its place; nobody else sees it."""


class SmallDisk:
    """A file system in memory that only the gateway sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.with_name(f"{folder.name}.disk").mkdir()

    @property
    def around(self) -> Sequence[str]:
        """What the gateway is to be started with."""
        return [*(_UNSHARE or ()), "sh", "-ec", _MOVE_IN, SIZE, str(self._folder)]

    def files(self, gateway: Gateway) -> Path:
        """Give the folder as the gateway sees it."""
        return Path(f"/proc/{gateway.pid}/root{self._folder}")

    def fill(self, gateway: Gateway) -> None:
        """Leave no byte free."""
        with (self.files(gateway) / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 16, 1):
                _write_all(filler.fileno(), bytes(size))

    def free(self, gateway: Gateway) -> None:
        """Make room again."""
        (self.files(gateway) / "filler").unlink()


def _write_all(descriptor: int, data: bytes) -> None:
    try:
        while True:
            os.write(descriptor, data)
    except OSError:
        return


class NoGrowth:
    """Files in which the gateway may write nothing any more."""

    around: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, gateway: Gateway) -> Path:
        """Give the folder as the gateway sees it."""
        return self._folder

    def fill(self, gateway: Gateway) -> None:
        """Let no file be written."""
        self._limit(gateway, 0)

    def free(self, gateway: Gateway) -> None:
        """Let files be written again."""
        self._limit(gateway, resource.RLIM_INFINITY)

    def _limit(self, gateway: Gateway, size: int) -> None:
        children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text()
        for pid in map(int, children.split()):
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            soft = size if most == resource.RLIM_INFINITY else min(size, most)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, most))


def _way_to_mount() -> Sequence[str] | None:
    """Give the command that allows its own mounts, None where nobody lets us."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        mount = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        try:
            if subprocess.run(mount, capture_output=True, timeout=10).returncode == 0:
                return command
        except (OSError, subprocess.TimeoutExpired):
            return None
    return None


_UNSHARE = _way_to_mount()
DISKS: dict[str, type[SmallDisk | NoGrowth]] = {
    **({"a small disk": SmallDisk} if _UNSHARE else {}),
    "files that cannot grow": NoGrowth,
}
