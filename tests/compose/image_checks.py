"""What must hold of the image and of running containers: small, without rights, pinned, nothing secret inside."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from deployment import ROOT, Container, Deployment
from engine import Engine, TroubleError

# What our own layers may add to the base image, in MB.
MOST_ADDED = 750
INSTALLED = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
# Brought by the interpreter's own venv module, or made from this checkout.
NOT_PINNED = {"airflow-domino", "pip", "setuptools"}
NOT_FOR_THE_IMAGE = (".git", ".env", "tests", "dags", "pip.conf", "uv.toml", ".netrc", ".pypirc")
REGISTRY = re.compile(rb"(?:PIP|UV)_[A-Z_]*(?:INDEX|FIND_LINKS|PROXY)[A-Z_]*=[^\s\"]+|https?://[^\s\"/@]+:[^\s\"/@]+@")


def check_image(deployment: Deployment, base: str) -> str:
    """Check the image as it was built.

    :param base: the image that it was built on
    :return: what was found, in a line
    :raises TroubleError: with all that is wrong
    """
    engine, image = deployment.engine, deployment.image
    (details,), (below,) = engine.inspect(image), engine.inspect(base)
    size, added = details["Size"] / 1e6, (details["Size"] - below["Size"]) / 1e6
    installed = json.loads(_inside(engine, image, "python", "-c", INSTALLED))
    wrong = [
        *([f"it adds {added:.0f} MB to its base; at most {MOST_ADDED} are wanted"] if added > MOST_ADDED else []),
        *([] if details["Config"]["User"] == "airflow" else [f"its user is {details['Config']['User'] or 'root'}"]),
        *_wrong_versions(installed),
        *_traces(engine, image, deployment.secrets),
    ]
    here = _inside(engine, image, "sh", "-c", "id -u; ls -A /opt/airflow /opt /opt/domino")
    user, *files = here.split()
    wrong += [f"it runs as user {user}"] if user != "50000" else []
    wrong += [f"it holds {name}" for name in NOT_FOR_THE_IMAGE if name in files]
    if wrong:
        raise TroubleError(f"{image}:\n" + "\n".join(f"- {line}" for line in wrong))
    return f"{size:.0f} MB, {added:.0f} of them above its base; {len(installed)} packages, all pinned; user {user}"


def check_containers(deployment: Deployment) -> str:
    """Check the containers as they run.

    :return: what was found, in a line
    :raises TroubleError: with all that is wrong
    """
    wrong, checked = [], 0
    for container in deployment.containers().values():
        if container.state == "running":
            checked += 1
            wrong += [f"{container.service}: {line}" for line in _wrong_in_container(deployment, container)]
    if wrong:
        raise TroubleError("\n".join(wrong))
    return f"{checked} containers: none runs as root or could, no secret in a list of processes"


def _wrong_in_container(deployment: Deployment, container: Container) -> Iterator[str]:
    engine = deployment.engine
    status = engine.docker("exec", container.id, "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if "0" in facts["Uid"].split():
        yield "runs as root"
    if int(facts["CapEff"], 16) or int(facts["CapBnd"], 16):
        yield f"has capabilities: {facts['CapEff']}, bounded by {facts['CapBnd']}"
    if facts["NoNewPrivs"].strip() != "1":
        yield "may gain privileges"
    processes = engine.docker("top", container.id, "-eo", "pid,args")
    yield from (
        f"shows {name} in its list of processes" for name, value in deployment.secrets.items() if value in processes
    )


def _wrong_versions(installed: Mapping[str, str]) -> Iterator[str]:
    pins = set(_pins())
    for name, version in sorted(installed.items()):
        known = re.sub(r"[-_.]+", "-", name).lower()
        if known not in NOT_PINNED and (known, version) not in pins:
            wanted = sorted(pinned for other, pinned in pins if other == known)
            yield f"{name} {version} is not what is pinned ({' or '.join(wanted) or 'nothing'})"


def _pins() -> Iterator[tuple[str, str]]:
    for file in ("requirements.txt", "docker/postgres.txt", "docker/celery.txt"):
        for line in (ROOT / file).read_text().splitlines():
            found = re.match(r"([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;]+)", line)
            if found:
                yield found[1], found[2]


def _traces(engine: Engine, image: str, secrets: Mapping[str, str]) -> Iterator[str]:
    """Look for secrets in everything that a registry would be given: layers, settings and history."""
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    settings = json.dumps(engine.inspect(image)[0]["Config"])
    for found in set(REGISTRY.findall((history + settings).encode())):
        yield f"its history or settings say {found.decode()[:20]}…"
    needles = {name: value.encode() for name, value in secrets.items()}
    found_in_history = {name for name, value in secrets.items() if value in history + settings}
    command = ["docker", "save", image]
    with subprocess.Popen(command, env=engine.environment, stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        found_inside = _found(saved.stdout, needles)
    if saved.returncode:
        raise TroubleError(f"`docker save {image}` ended with {saved.returncode}")
    yield from (f"{name} is inside" for name in sorted(found_in_history | found_inside))


def _found(stream: IO[bytes], needles: Mapping[str, bytes]) -> set[str]:
    longest = max(map(len, needles.values()))
    found: set[str] = set()
    before = b""
    for block in _blocks(stream):
        text = before + block
        found |= {name for name, value in needles.items() if value in text}
        before = text[-longest:]
    return found


def _blocks(stream: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: stream.read(8 << 20), b"")


def _inside(engine: Engine, image: str, *command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", image, *command)
