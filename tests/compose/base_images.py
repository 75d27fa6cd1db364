"""The images that the compose file begins with: pulled, or made of Debian's packages where no registry can be asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine import Engine, TroubleError

HERE = Path(__file__).resolve().parent
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
AUTHORITIES = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Of no use in a container.
SUPERFLUOUS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)


def base_images(engine: Engine, defaults: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Name an image for each variable of the compose file, having seen that it is there.

    :param defaults: variable, such as ``BASE_IMAGE``, and the image that the compose file would take
    :param folder: for the tree of Debian, while an image is made of it
    """
    chosen = {name: os.environ.get(name) or image for name, image in defaults.items()}
    missing = [name for name, image in chosen.items() if not engine.has_image(image) and not engine.can_pull(image)]
    given = [name for name in missing if os.environ.get(name)]
    if given:
        raise TroubleError(f"{given[0]} is {chosen[given[0]]}, which is neither here nor can be pulled")
    if not missing:
        return chosen
    print(f"  not to be had: {', '.join(chosen[name] for name in missing)}; made of Debian's packages instead")
    base = _debian(engine, folder)
    made = {"BASE_IMAGE": base}
    for name, kind in (("POSTGRES_IMAGE", "postgres"), ("REDIS_IMAGE", "redis")):
        if name in missing:
            made[name] = _built(engine, kind, base)
    return {name: made.get(name, image) if name in missing else image for name, image in chosen.items()}


def _debian(engine: Engine, folder: Path) -> str:
    """Make an image of a fresh tree of Debian, which trusts the authorities that this machine trusts."""
    authorities = sorted(AUTHORITIES.glob("*.crt")) if AUTHORITIES.is_dir() else []
    recipe = [SUITE, BUNDLE, *PACKAGES, *SUPERFLUOUS, *(path.read_text() for path in authorities)]
    name = f"airflow-domino-test/debian:{_digest(*recipe)}"
    if engine.has_image(name):
        return name
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise TroubleError(
            "no base image: name one in BASE_IMAGE (and POSTGRES_IMAGE, REDIS_IMAGE), or let one be made, "
            "which takes root and debootstrap (apt-get install debootstrap)"
        )
    print(f"  making an image of Debian {SUITE}; this takes some minutes")
    tree = folder / "debian"
    shutil.rmtree(tree, ignore_errors=True)
    mirror = [os.environ["DEBIAN_MIRROR"]] if os.environ.get("DEBIAN_MIRROR") else []
    try:
        _to_end("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree), *mirror)
        for path in authorities:
            shutil.copy(path, tree / "usr/local/share/ca-certificates")
        _to_end("chroot", str(tree), "update-ca-certificates")
        for part in SUPERFLUOUS:
            shutil.rmtree(tree / part, ignore_errors=True)
            (tree / part).mkdir(parents=True)
        (tree / "etc/resolv.conf").unlink(missing_ok=True)
        _imported(engine, tree, name)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return name


def _imported(engine: Engine, tree: Path, name: str) -> None:
    # uv and others bring authorities of their own unless they are told where the system's are.
    command = ["docker", "import", "--change", f"ENV SSL_CERT_FILE={BUNDLE}", "-", name]
    with subprocess.Popen(
        ["tar", "--create", "--one-file-system", "--directory", str(tree), "."], stdout=subprocess.PIPE
    ) as packed:
        done = subprocess.run(
            command, stdin=packed.stdout, env=engine.environment, capture_output=True, text=True, check=False
        )
    if done.returncode or packed.returncode:
        raise TroubleError(f"the tree of Debian could not be imported: {done.stderr.strip()}")


def _built(engine: Engine, kind: str, base: str) -> str:
    folder = HERE / "images" / kind
    files = sorted(path for path in folder.iterdir() if path.is_file())
    name = f"airflow-domino-test/{kind}:{_digest(base, *(path.read_text() for path in files))}"
    if not engine.has_image(name):
        engine.docker("build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", name, str(folder))
    return name


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _to_end(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise TroubleError(f"`{' '.join(command[:3])}` ended with {done.returncode}:\n{last}")
