"""What a project requires beside its environment (``requirements.txt``), installed in a layer over the environment.

A layer is a virtual environment that sees everything of the environment's interpreter below it. It is made once for
each interpreter and each content of the file, and used again by every later run with the same two.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from airflow_domino.local import processes

FILE = "requirements.txt"

_DONE = "installed"
_LOGIN_IN_ADDRESS = re.compile(rb"(?<=://)[^/\s@]+@")
_OTHER_FILE = re.compile(r"(?:-r|--requirement|-c|--constraint)[ =]*(\S+)")
# What of the server's own environment the installer gets beside what a run gets: where packages come from.
_FOR_INSTALLERS = ("PIP_", "UV_")
_LARGEST = 1 << 20
_ARCHIVES = (".whl", ".zip", ".tar.gz")
_WHAT_IS_BELOW = (
    "import json, sys, sysconfig; "
    "print(json.dumps({'version': sys.version, 'paths': sorted({sysconfig.get_path('purelib'), "
    "sysconfig.get_path('platlib')} | {p for p in sys.path if p.endswith(('site-packages', 'dist-packages'))})}))"
)


class RequirementsError(Exception):
    """What a project requires cannot be installed; the log says why, and this message in a sentence."""


@dataclass(frozen=True)
class Layer:
    """A virtual environment with what a project requires.

    :param python: its interpreter.
    """

    python: Path


@dataclass
class Layers:
    """The layers of a server.

    :param folder: where they are kept.
    """

    folder: Path
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def layer(self, python: Path, project: Path, own: Path, installation: Installation) -> Layer | None:
        """Give the layer for what a project requires, made where it is not there; None where it requires nothing.

        :param python: interpreter of the environment.
        :param project: folder with the ``requirements.txt``.
        :param own: folder for a layer that only this run can use, since it holds something out of the project itself.
        :param installation: carries the installing out, and says what it does.
        :raises RequirementsError: when it cannot be installed.
        """
        texts, is_own = _read(project)
        if not any(line.strip() and not line.strip().startswith("#") for line in texts[FILE].splitlines()):
            return None
        below = _below(python)
        if is_own:
            return self._made(own, python, below, project, installation)
        content = json.dumps([str(python), below, texts], sort_keys=True)
        key = hashlib.sha256(content.encode()).hexdigest()[:32]
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            folder = self.folder / key
            if (folder / _DONE).exists():
                installation.say(f"{FILE}: installed already, in {folder}")
                return _layer(folder)
            return self._made(folder, python, below, project, installation)

    @staticmethod
    def _made(
        folder: Path, python: Path, below: Mapping[str, object], project: Path, installation: Installation
    ) -> Layer:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        installation.say(f"{FILE}: making a virtual environment over {python} in {folder}")
        installation.carry_out([str(python), "-m", "venv", "--without-pip", str(folder)], project)
        layer = _layer(folder)
        (site,) = folder.glob("lib/python*/site-packages")
        lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in cast("list[str]", below["paths"]))
        (site / "_environment_below.pth").write_text(lines, encoding="utf-8")
        installation.carry_out(_installer(layer.python, project / FILE), project)
        (folder / _DONE).touch()
        return layer


@dataclass(frozen=True)
class Installation:
    """How the installing for one run is carried out.

    :param run_id: the run.
    :param environ: environment of the run's programs.
    :param say: says a line of the server's own in the run's log.
    :param write: writes lines of a program to the run's log.
    :param wake: is set when the run is to be stopped.
    """

    run_id: str
    environ: Mapping[str, str]
    say: Callable[[str], None]
    write: Callable[[list[bytes]], None]
    wake: threading.Event

    def carry_out(self, arguments: list[str], folder: Path) -> None:
        """Carry a program out, with its output in the log of the run.

        :param arguments: the program and its arguments.
        :param folder: folder that it works in.
        :raises RequirementsError: when it fails, or the run was stopped meanwhile.
        """
        extra = {name: value for name, value in os.environ.items() if name.startswith(_FOR_INSTALLERS)}
        environment = {**self.environ, **extra, processes.MARK: self.run_id}
        process = processes.start(arguments, folder, environment)
        pipes = {"out": cast("BinaryIO", process.stdout), "err": cast("BinaryIO", process.stderr)}
        pump = threading.Thread(target=processes.pump, args=(pipes, self._write), daemon=True)
        pump.start()
        while process.poll() is None and not self.wake.is_set():
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        processes.end_run(self.run_id, process.pid, 0.5)
        code = process.wait()
        pump.join(10)
        if self.wake.is_set():
            raise RequirementsError(
                "The run was stopped while its requirements were being installed; start it again if that was a mistake"
            )
        if code != 0:
            raise RequirementsError(
                f"What {FILE} names could not be installed (exit code {code}); correct what the log of the run tells"
            )

    def _write(self, _: str, lines: list[bytes]) -> None:
        # An index of packages is often reached by an address with a password in it.
        self.write([_LOGIN_IN_ADDRESS.sub(b"****@", line) for line in lines])


def _layer(folder: Path) -> Layer:
    return Layer(folder / "bin" / "python")


def _installer(python: Path, file: Path) -> list[str]:
    """Choose the installer: the environment's own pip, which knows what is there already, as on Domino; else uv."""
    if _asked(python, "import pip") is not None:
        return [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-r", str(file)]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise RequirementsError(
            f"Neither the environment of {python} nor this machine has pip or uv to install with; install one of them"
        )
    return [uv, "pip", "install", "--python", str(python), "-r", str(file)]


def _below(python: Path) -> dict[str, object]:
    told = _asked(python, _WHAT_IS_BELOW)
    if told is None:
        raise RequirementsError(
            f"The interpreter {python} does not work; name another one for the environment (--environment)"
        )
    return cast("dict[str, object]", json.loads(told))


def _asked(python: Path, program: str) -> str | None:
    """Give what a small program prints, carried out as a run would be; None where it fails."""
    environment = processes.base_environment(python)
    try:
        asked = subprocess.run(
            [str(python), "-c", program], env=environment, capture_output=True, check=False, text=True
        )
    except OSError:
        return None
    return asked.stdout if asked.returncode == 0 else None


def _read(project: Path) -> tuple[dict[str, str], bool]:
    """Read the file and the files that it names; tell too whether it names anything that lies in the project itself."""
    texts: dict[str, str] = {}
    waiting, is_own = [FILE], False
    while waiting:
        name = waiting.pop()
        if name in texts:
            continue
        path = project / name
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise RequirementsError(
                f"{name}, which {FILE} leads to, is no file that can be read; put it into the project"
            )
        texts[name] = path.read_text(encoding="utf-8", errors="replace")
        for line in map(str.strip, texts[name].splitlines()):
            if (other := _OTHER_FILE.match(line)) is not None:
                if "://" not in other[1]:
                    waiting.append(os.path.normpath(Path(name).parent / other[1]))
            elif not line.startswith("#"):
                is_own = is_own or _is_in_project(line, project)
    return texts, is_own


def _is_in_project(line: str, project: Path) -> bool:
    words = [word for word in re.split(r"[\s=@;]+", line) if word and not word.startswith(("-", "/"))]
    return line.startswith(("-e", "--editable")) or any(
        ("/" in word or word.startswith(".") or word.endswith(_ARCHIVES)) and (project / word).exists()
        for word in words
    )
