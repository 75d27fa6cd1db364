"""One deployment: a copy of this checkout, brought up as the documentation says, and torn down without a trace."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import Engine, TroubleError

ROOT = Path(__file__).resolve().parents[2]
ADDED_DAGS = Path(__file__).resolve().parent / "dags"
SECRET = re.compile(r"^([A-Z_]+(?:PASSWORD|KEY|SECRET|TOKEN))=(.+)$", re.MULTILINE)
# After which time Airflow gives a task up whose worker says nothing any more; by default five minutes.
HEARTBEAT_TIMEOUT = "40"
OVERRIDE = """\
x-quick: &quick
  environment:
    AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT: "{seconds}"
services:
{services}
"""


@dataclass(frozen=True)
class Container:
    """A container of a deployment.

    :param service: its name in docker-compose.yml
    :param state: such as ``running`` or ``exited``
    :param health: ``healthy``, ``starting``, ``unhealthy``; empty for one that is not asked
    """

    id: str
    service: str
    state: str
    exit_code: int
    health: str

    @property
    def is_well(self) -> bool:
        """Say whether it is healthy, or has done its job."""
        return (self.state, self.health) == ("running", "healthy") or (self.state, self.exit_code) == ("exited", 0)


class Deployment:
    """What ``docker compose up`` makes of the compose file.

    :param engine: where it runs
    :param folder: the copy of the checkout
    :param profile: ``celery``, or nothing for LocalExecutor
    :param images: variable of the compose file, such as ``BASE_IMAGE``, and its image
    """

    def __init__(self, engine: Engine, folder: Path, profile: str | None, images: Mapping[str, str]) -> None:
        self.engine = engine
        self.folder = folder
        self.profile = profile
        self.name = f"airflow-domino-test-{os.getpid()}-{profile or 'local'}"
        self.executor = "CeleryExecutor" if profile == "celery" else "LocalExecutor"
        self.ports = {"AIRFLOW_PORT": _free_port(), "LOCAL_DOMINO_PORT": _free_port()}
        self.log = folder.parent / f"{profile or 'local'}.log"
        self._variables = {"EXECUTOR": self.executor, **images, **{name: str(n) for name, n in self.ports.items()}}

    def prepare(self) -> None:
        """Copy the checkout, write its secrets by ``make env``, and add the DAG whose workers are killed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        _copy_checkout(self.folder)
        for file in ADDED_DAGS.glob("*.py"):
            shutil.copy(file, self.folder / "dags")
        done = subprocess.run(["make", "-s", "env"], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TroubleError(f"`make env` failed: {done.stdout}{done.stderr}")
        env = self.folder / ".env"
        port = self.ports["LOCAL_DOMINO_PORT"]
        env.write_text(env.read_text().replace("http://localhost:8888", f"http://localhost:{port}"))
        services = ["scheduler", *(["worker-1", "worker-2"] if self.profile else [])]
        merged = "\n".join(f"  {service}: *quick" for service in services)
        (self.folder / "docker-compose.override.yml").write_text(
            OVERRIDE.format(seconds=HEARTBEAT_TIMEOUT, services=merged)
        )

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets of this deployment, by name."""
        return dict(SECRET.findall((self.folder / ".env").read_text()))

    @property
    def addresses(self) -> dict[str, str]:
        """Where this machine reaches it, by the variable of the port."""
        return {name: f"http://localhost:{port}" for name, port in self.ports.items()}

    @property
    def image(self) -> str:
        """The image of Airflow and of the local Domino."""
        return f"airflow-domino:0.1.0-{self.executor}"

    def compose(self, *arguments: str, to_log: bool = False) -> str:
        """Run a command of Compose on this deployment."""
        profile = ["--profile", self.profile] if self.profile else []
        arguments = ("--project-name", self.name, *profile, *arguments)
        log = self.log if to_log else None
        return self.engine.compose(self.folder, *arguments, variables=self._variables, log=log)

    def containers(self) -> dict[str, Container]:
        """Read the state of every container, by service."""
        wanted = f"label=com.docker.compose.project={self.name}"
        ids = self.engine.docker("ps", "--all", "--quiet", "--no-trunc", "--filter", wanted).split()
        found = {}
        for details in self.engine.inspect(*ids) if ids else []:
            state, service = details["State"], details["Config"]["Labels"]["com.docker.compose.service"]
            health = state.get("Health", {}).get("Status", "")
            found[service] = Container(details["Id"], service, state["Status"], state["ExitCode"], health)
        return found

    def wait_until_well(self, timeout: float = 900) -> None:
        """Wait until every service is healthy or has done its job.

        :param timeout: seconds
        :raises TroubleError: when one is not by then; the ends of their logs are in its text
        """
        deadline = time.monotonic() + timeout
        while unwell := [container for container in self.containers().values() if not container.is_well]:
            if time.monotonic() > deadline:
                raise TroubleError("\n".join(self._described(container) for container in unwell))
            time.sleep(2)

    def file(self, path: str) -> str:
        """Read a file of the data volume, as the scheduler sees it."""
        return self.compose("exec", "-T", "scheduler", "cat", f"/opt/airflow/data/{path}")

    def memory(self) -> str:
        """Tell how much memory each container has at this moment."""
        running = {found.id: name for name, found in self.containers().items() if found.state == "running"}
        shown = self.engine.docker("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}", *running)
        used = dict(line.split(" / ")[0].split(" ", 1) for line in shown.splitlines())
        return ", ".join(f"{running[container]} {memory}" for container, memory in used.items())

    def down(self) -> None:
        """Remove containers, networks and volumes.

        :raises TroubleError: when one is left
        """
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20", to_log=True)
        mine = ("--quiet", "--filter", f"label=com.docker.compose.project={self.name}")
        left = {kind: self.engine.docker(kind, "ls", *mine).split() for kind in ("container", "network", "volume")}
        if any(left.values()):
            raise TroubleError(f"left behind: {left}")

    def _described(self, container: Container) -> str:
        lines = self.compose("logs", "--no-color", "--tail", "15", container.service)
        return f"{container.service} is {container.state} {container.health} ({container.exit_code}):\n{lines}"


@contextmanager
def deployed(deployment: Deployment, *, keep: bool) -> Iterator[Deployment]:
    """Build the image and bring a deployment up; take it down at the end, whatever happens.

    :param keep: leave it up instead
    """
    deployment.prepare()
    try:
        yield deployment
    except Exception:
        for container in deployment.containers().values():
            print(f"  {container.service:14} {container.state} {container.health}")
        with deployment.log.open("a") as log:
            log.write(deployment.compose("logs", "--no-color", "--tail", "400"))
        print(f"  more in {deployment.log}")
        raise
    finally:
        if keep:
            print(f"  left as it is, in {deployment.folder}; to remove it, there:")
            print(f"  docker compose --project-name {deployment.name} --profile celery down --volumes")
        else:
            deployment.down()


def _copy_checkout(folder: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise TroubleError(f"{ROOT} is not a git checkout: {done.stderr.decode().strip()}")
    for name in filter(None, done.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # The containers' user reads the DAGs.
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
