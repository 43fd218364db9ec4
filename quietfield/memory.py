"""How much memory and disk there is, asked before they are taken."""

from __future__ import annotations

import shutil
from pathlib import Path

# Where the limits of a container and of the machine stand (control groups version 2 and 1).
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
UNLIMITED = 1 << 60


def available(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that can still be taken before the container or the machine runs out.

    The smaller of the control group's limit less what is used (file cache that can be dropped
    does not count as used) and the machine's available memory; very large where neither is known.
    """
    free = [_table(meminfo).get("MemAvailable", UNLIMITED // 1024) * 1024]
    for limit, usage, statistics, cache in CGROUPS:
        maximum, used = _number(cgroup / limit), _number(cgroup / usage)
        if maximum is not None and used is not None:
            free.append(maximum - used + _table(cgroup / statistics).get(cache, 0))
    return max(0, min(free))


def disk_free(folder: Path) -> int:
    """Bytes free where a folder is, or will be."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
