"""The machine: the device to compute on, tried before it is trusted; memory and disk, asked before they are taken."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
from pathlib import Path

import torch

log = logging.getLogger(__name__)

# Oldest NVIDIA driver branch for each major version of CUDA (NVIDIA, CUDA compatibility: minor versions).
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
# Where the limits of a container and of the machine stand (control groups version 2 and 1).
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
UNLIMITED = 1 << 60


def choose_device() -> torch.device:
    """CUDA when a convolution runs on it, else the CPU, with a warning where a GPU seems present."""
    reason = "this torch is a CPU build" if torch.version.cuda is None else f"no usable driver for {describe_torch()}"
    if torch.cuda.is_available():
        try:
            torch.nn.functional.conv2d(torch.ones(1, 1, 8, 8, device="cuda"), torch.ones(1, 1, 3, 3, device="cuda"))
            torch.cuda.synchronize()
            # TF32 keeps 10 bits, which tiles and gains would show; float32 is fast enough here.
            torch.backends.cudnn.allow_tf32 = False
            return torch.device("cuda")
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
    if Path("/dev/nvidia0").exists() or os.environ.get("NVIDIA_VISIBLE_DEVICES", "void") not in ("", "void", "none"):
        log.warning("A GPU SEEMS TO BE HERE BUT IS NOT USABLE (%s): computing on the CPU, which is slower", reason)
    return torch.device("cpu")


def describe_torch() -> str:
    """Which torch this is, for which CUDA, and which NVIDIA drivers can use it."""
    cuda = torch.version.cuda
    if cuda is None:
        return f"torch {torch.__version__}, without CUDA: it computes on the CPU"
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0]))
    drivers = f"{oldest} or newer" if oldest else "see NVIDIA's table of CUDA and drivers"
    return f"torch {torch.__version__}, for CUDA {cuda}: NVIDIA driver {drivers}"


def keep_memory() -> None:
    """Have glibc keep freed memory instead of giving it back after every layer.

    The layers' large arrays are otherwise mapped, zeroed and unmapped again for each tile, which
    costs a third of the time on a CPU. Without effect where the C library is another.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def describe(device: torch.device) -> str:
    """The device in words: name, compute capability and memory, or the number of threads."""
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        return f"{p.name} (sm_{p.major}{p.minor}, {p.total_memory >> 20} MiB, CUDA {torch.version.cuda})"
    return f"CPU ({torch.get_num_threads()} threads)"


def peak_memory(device: torch.device | str = "cpu") -> int:
    """Most bytes held so far, of the GPU's memory or by this process; 0 where that is not known."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
    """Bytes free where a folder is, or will be.

    Raises
    ------
    OSError
        If nothing may be written there.
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise OSError(f"{folder}: expected leave to write there, found none: choose another folder")
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
