"""The container engine that the script works with: one that is there, or one that it starts and ends itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class TroubleError(Exception):
    """Something is not as it has to be; the text says what, and what to do where that is known."""


class Engine:
    """Docker's command line, and Compose's.

    :param host: address of the engine; None for the one that Docker's command line finds by itself
    """

    def __init__(self, host: str | None = None) -> None:
        self.environment = dict(os.environ)
        if host:
            self.environment["DOCKER_HOST"] = host
        self._compose: list[str] | None = None

    def is_there(self) -> bool:
        """Say whether an engine answers."""
        if shutil.which("docker") is None:
            raise TroubleError("the command docker is missing; on Debian: apt-get install docker.io docker-compose")
        return self._run(["docker", "info"], None, None).returncode == 0

    def docker(self, *arguments: str, text: str | None = None) -> str:
        """Run a command of Docker to its end.

        :param text: its standard input
        :return: its standard output
        :raises TroubleError: when it fails
        """
        done = self._run(["docker", *arguments], text, None)
        if done.returncode:
            raise TroubleError(f"`docker {' '.join(arguments[:3])}` ended with {done.returncode}: {_end(done.stderr)}")
        return done.stdout

    def has_image(self, name: str) -> bool:
        """Say whether an image is there."""
        return self._run(["docker", "image", "inspect", name], None, None).returncode == 0

    def can_pull(self, name: str) -> bool:
        """Fetch an image from a registry, and say whether that was possible."""
        return self._run(["docker", "pull", "--quiet", name], None, None).returncode == 0

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Read everything that the engine knows of images or containers."""
        return list(json.loads(self.docker("inspect", *names)))

    def compose(
        self, folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, log: Path | None = None
    ) -> str:
        """Run a command of Compose to its end.

        :param folder: holds docker-compose.yml
        :param variables: added to the environment
        :param log: file to which both outputs are added
        :return: its standard output; nothing with a log
        :raises TroubleError: when it fails
        """
        command = [*self._compose_command(), *arguments]
        if log is None:
            done = self._run(command, None, folder, variables)
            if done.returncode:
                raise TroubleError(f"`compose {' '.join(arguments)}` failed: {_end(done.stderr)}")
            return done.stdout
        with log.open("ab") as output:
            code = subprocess.run(
                command,
                cwd=folder,
                env={**self.environment, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            ).returncode
        if code:
            raise TroubleError(f"`compose {' '.join(arguments)}` failed: {_end(log.read_text(errors='replace'))}")
        return ""

    def versions(self) -> str:
        """Name what is at work."""
        server = self.docker("version", "--format", "{{.Server.Version}}").strip()
        storage = self.docker("info", "--format", "{{.Driver}}").strip()
        compose = self._run([*self._compose_command(), "version", "--short"], None, None).stdout.strip()
        return f"engine {server} ({storage}), compose {compose}"

    def _compose_command(self) -> list[str]:
        if self._compose is None:
            if self._run(["docker", "compose", "version"], None, None).returncode == 0:
                self._compose = ["docker", "compose"]
            elif shutil.which("docker-compose"):
                self._compose = ["docker-compose"]
            else:
                raise TroubleError("Compose is missing; on Debian: apt-get install docker-compose")
        return self._compose

    def _run(
        self, command: Sequence[str], text: str | None, folder: Path | None, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env={**self.environment, **(variables or {})},
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def _end(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-25:])


@contextmanager
def started_engine(folder: Path) -> Iterator[Engine]:
    """Start an engine whose whole state is in a folder, and end it; the firewall is put back as it was.

    :param folder: kept, so that the next start finds its images again
    :raises TroubleError: without root, without dockerd, when another engine answers, or when it does not start
    """
    if os.geteuid() != 0:
        raise TroubleError("an engine can be started by root alone; start one yourself, or set DOCKER_HOST")
    if shutil.which("dockerd") is None:
        raise TroubleError("dockerd is missing; on Debian: apt-get install docker.io docker-compose iptables")
    if Engine().is_there():
        raise TroubleError("an engine is there already; leave --engine-in away to use it")
    folder.mkdir(parents=True, exist_ok=True)
    firewall = _output("iptables-save")
    links = _output("ip", "-brief", "link")
    log = folder / "dockerd.log"
    address = f"unix://{folder / 'docker.sock'}"
    command = ["dockerd", "--host", address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [*command, "--pidfile", str(folder / "pid")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    engine = Engine(address)
    try:
        deadline = time.monotonic() + 60
        while not engine.is_there():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise TroubleError(f"dockerd did not start:\n{_end(log.read_text(errors='replace'))}")
            time.sleep(0.5)
        yield engine
    finally:
        daemon.terminate()
        daemon.wait(60)
        if "docker0" not in links:
            _output("ip", "link", "delete", "docker0")
        if firewall:
            subprocess.run(["iptables-restore"], input=firewall, text=True, capture_output=True, check=False)


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
