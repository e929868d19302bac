"""Directories: bench/.cache, which is kept (clips, peers), and a temporary one per run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / ".cache"
SYSTEM = Path(tempfile.gettempdir())
PREFIX = "rushes-bench-"


@contextmanager
def directory(parent: Path = CACHE) -> Iterator[Path]:
    """A temporary directory. By default on the disk of the repository, because /tmp may be in memory."""
    CACHE.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_leftovers() -> None:
    """Removes directories of runs that were killed."""
    for path in [*CACHE.glob(f"{PREFIX}*"), *SYSTEM.glob(f"{PREFIX}*")]:
        owner = path.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
