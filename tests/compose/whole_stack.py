"""Bring docker-compose.yml up for real: both profiles healthy, sample DAGs to success, workers killed in between."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import scenarios
from base_images import base_images
from deployment import ROOT, Deployment, deployed
from engine import Engine, TroubleError, started_engine
from image_checks import check_containers, check_image
from over_http import Airflow, LocalDomino

PROFILES = {"local": None, "celery": "celery"}
DEFAULT_IMAGE = re.compile(r"\$\{((?:BASE|POSTGRES|REDIS)_IMAGE):-([^}]+)\}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="tests/compose/run",
        description=__doc__,
        epilog="BASE_IMAGE, POSTGRES_IMAGE and REDIS_IMAGE name other images. What cannot be pulled is made of "
        "Debian's packages, as root and with debootstrap (DEBIAN_MIRROR names another mirror).",
    )
    add = parser.add_argument
    add("--profile", choices=PROFILES, action="append", help="only this one (default: both)")
    add("--engine-in", type=Path, metavar="FOLDER", help="start an engine of its own, with all its state there (root)")
    add(
        "--work", type=Path, metavar="FOLDER", help="where the copy of the checkout and logs go (default: a new folder)"
    )
    add("--keep", action="store_true", help="leave the deployment up at the end (with an engine that was there)")
    options = parser.parse_args()
    if options.keep and options.engine_in:
        parser.error("--keep needs an engine that stays: start one, and leave --engine-in away")
    return options


def main() -> int:
    """Do everything.

    :return: 0 when all is well
    """
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    work = (options.work or Path(tempfile.mkdtemp(prefix="airflow-domino-compose-", dir="/var/tmp"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)
    try:
        with _engine(options.engine_in) as engine:
            print(f"{engine.versions()}; files in {work}")
            images = base_images(engine, dict(DEFAULT_IMAGE.findall((ROOT / "docker-compose.yml").read_text())), work)
            for name in options.profile or PROFILES:
                run_profile(engine, work, name, images, keep=options.keep)
    except TroubleError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        with contextlib.suppress(OSError):
            work.rmdir()  # nothing in it that tells more
        return 1
    if options.work is None and not options.keep:
        shutil.rmtree(work)
    print(f"All is well, after {time.monotonic() - began:.0f} s.")
    return 0


def run_profile(engine: Engine, work: Path, name: str, images: dict[str, str], *, keep: bool) -> None:
    """Bring one profile up, run everything on it, take it down."""
    deployment = Deployment(engine, work / name, PROFILES[name], images)
    print(f"\n== {name}: {deployment.executor}")
    with deployed(deployment, keep=keep):
        with step("image built"):
            deployment.compose("build", to_log=True)
        print(f"  image: {check_image(deployment, images['BASE_IMAGE'])}")
        with step("everything healthy"):
            deployment.compose("up", "-d", to_log=True)
            deployment.wait_until_well()
        services = deployment.containers().values()
        print("  " + ", ".join(f"{found.service} {found.health or found.state}" for found in services))
        print(f"  {check_containers(deployment)}")
        secrets, addresses = deployment.secrets, deployment.addresses
        airflow = Airflow(addresses["AIRFLOW_PORT"], secrets["AIRFLOW_ADMIN_PASSWORD"])
        domino = LocalDomino(addresses["LOCAL_DOMINO_PORT"], secrets["LOCAL_DOMINO_TOKEN"])
        with step("sample DAGs"):
            scenarios.run_samples(deployment, airflow, domino)
        if PROFILES[name] == "celery":
            with step("killed workers"):
                scenarios.kill_workers(deployment, airflow, domino)
        print(f"  memory: {deployment.memory()}")
    if not keep:
        print("  torn down: no container, network or volume is left")


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Tell how long something took."""
    began = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def _engine(folder: Path | None) -> Iterator[Engine]:
    if folder is not None:
        with started_engine(folder.resolve()) as engine:
            yield engine
        return
    engine = Engine()
    if not engine.is_there():
        raise TroubleError("no engine answers; start one, set DOCKER_HOST, or let one be started: --engine-in FOLDER")
    yield engine


if __name__ == "__main__":
    sys.exit(main())
