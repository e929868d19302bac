"""A Postgres and a Redis for one benchmark, on free ports, with their default durability."""

import glob
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import scratch
from process import free_port, listens, running


@contextmanager
def postgres() -> Iterator[str]:
    """Runs Postgres and yields its URL. Started by root, it runs as the user `postgres`, because it refuses to run as root."""
    tools = Path(max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4])))
    user = "postgres" if os.geteuid() == 0 else None
    port, password = free_port(), secrets.token_hex(16)
    # In the temporary directory of the system, because the user `postgres` may have no access to the repository.
    with scratch.directory(scratch.SYSTEM) as home:
        (home / "password").write_text(password)
        if user:
            shutil.chown(home, user, user)
            shutil.chown(home / "password", user, user)
        make = [tools / "initdb", "--username", "rushes", "--auth", "scram-sha-256", "--pwfile", home / "password"]
        make += ["--encoding", "UTF8", "--no-locale", "--pgdata", home / "data"]
        subprocess.run(map(str, make), check=True, cwd=home, user=user, group=user, capture_output=True, timeout=60)
        serve = [tools / "postgres", "-D", home / "data", "-k", home, "-h", "127.0.0.1", "-p", port]
        ready = [tools / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
        # INT is a fast shutdown: Postgres does not wait for its clients.
        with running(serve, home / "postgres.log", lambda: succeeds(ready), user=user, stop=signal.SIGINT):
            yield f"postgres://rushes:{password}@127.0.0.1:{port}/postgres"


def succeeds(command: list) -> bool:
    return subprocess.run(map(str, command), capture_output=True, timeout=10).returncode == 0


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """Runs Redis and yields its URL. Configured as in docker-compose.yml: append-only file, no eviction."""
    port, password = free_port(), secrets.token_hex(16)
    settings = [f"port {port}", "bind 127.0.0.1", f'dir "{directory}"', 'save ""', "appendonly yes"]
    settings += ["maxmemory-policy noeviction", f"requirepass {password}"]
    (directory / "redis.conf").write_text("\n".join(settings) + "\n")
    with running(["redis-server", directory / "redis.conf"], directory / "redis.log", lambda: listens(port)):
        yield f"redis://:{password}@127.0.0.1:{port}/0"
