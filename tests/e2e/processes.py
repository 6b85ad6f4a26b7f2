"""Servers started by the tests: each with a log of its own, all ended with the program that started them."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

BIN = Path(os.environ.get("GOBIN") or Path.home() / "go/bin")


class Failed(Exception):
    """A command that had to succeed did not; the text says which and what it printed."""


def tool(name: str) -> str:
    """The path of a program that `tests/e2e/install` installed."""
    path = BIN / name
    if not path.exists():
        raise Failed(f"{path} is missing: run tests/e2e/install")
    return str(path)


def run(*command, timeout=120, check=True, **kwargs) -> subprocess.CompletedProcess:
    """Runs a command to its end and returns what it printed, as text unless `text=False`."""
    command = [str(part) for part in command]
    kwargs.setdefault("text", True)
    done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL, **kwargs)
    if check and done.returncode != 0:
        output = done.stderr if kwargs["text"] else done.stderr.decode(errors="replace")
        raise Failed(f"{' '.join(command)[:400]}\nexit code {done.returncode}\n{output[-2000:]}")
    return done


class Servers:
    """The servers of one run; `folder` gets their logs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.running: dict[str, subprocess.Popen] = {}
        folder.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)

    def start(self, name: str, *command, ready: tuple[str, int] | Path | None = None, wait=40.0, **kwargs) -> subprocess.Popen:
        """Starts a server and waits until it listens on `ready`: an address, or a socket's path."""
        log = self.log(name)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **kwargs,
            )
        self.running[name] = process
        deadline = time.monotonic() + wait
        while ready is not None and not _listens(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-3000:]
                raise Failed(f"{name} did not listen on {ready} (exit code {process.poll()})\n{tail}")
            time.sleep(0.05)
        return process

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def end(self, name: str) -> int:
        """Ends one server, with SIGTERM and then, if it does not go, SIGKILL; returns its exit code."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode

    def stop(self) -> None:
        """Ends every server, the last one started first."""
        for name in reversed(list(self.running)):
            self.end(name)


def _listens(where: tuple[str, int] | Path) -> bool:
    try:
        if isinstance(where, Path):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(where))
        else:
            socket.create_connection(where, 0.3).close()
        return True
    except OSError:
        return False


def fresh(folder: Path) -> Path:
    """An empty folder at `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
