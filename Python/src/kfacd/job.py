"""Jobs from Python: calls of the program ``kfacctl``, with typed results.

Source: kfacctl(1).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kfacd.errors import KfacdError
from kfacd.problems import InputError, JobFailedError, JobInterruptedError, ProgramNotFoundError, UnreachableError

_PathLike = str | os.PathLike[str]
#: A job file, or its keys as kfacd-job(5) has them; then relative paths start at the working directory.
Job = _PathLike | Mapping[str, Any]


@dataclass(frozen=True)
class JobStatus:
    """How far a job has come."""

    job: str
    #: ``running``, ``paused``, ``succeeded``, ``bad_input``, ``failed`` or ``cancelled``.
    state: str
    #: From 0 to 1.
    fraction: float
    finished_units: int
    total_units: int
    #: The job file, as the coordinator sees it.
    spec: str
    #: The output directory, as the coordinator sees it.
    output: str
    message: str
    activity: str
    #: ISO 8601, in UTC.
    submitted_at: str
    elapsed_seconds: float | None = None
    left_seconds: float | None = None


@dataclass(frozen=True)
class PlanStage:
    """What one stage of a job would take."""

    stage: str
    units: int
    #: Units whose results a coordinator knows already.
    known_units: int
    multiply_adds: float
    input_bytes: int
    output_bytes: int
    #: The memory of the stage's largest unit.
    memory_bytes_max: int


@dataclass(frozen=True)
class Plan:
    """What a job would take."""

    stages: tuple[PlanStage, ...]
    #: Remarks about the job that do not stop it.
    notices: tuple[str, ...]


@dataclass(frozen=True)
class Coordinator:
    """Where a coordinator is, and the keys for it. What is not given comes from the variables of kfacctl(1)."""

    endpoint: str | None = None
    #: The file with the coordinator's public key.
    server_key: _PathLike | None = None
    #: The file with one's own key.
    secret_key: _PathLike | None = None
    #: Seconds to wait for an answer.
    timeout: int | None = None

    @classmethod
    def of(cls, coordinator: Coordinator | str | None) -> Coordinator:
        """The coordinator at an endpoint, or itself."""
        return coordinator if isinstance(coordinator, Coordinator) else cls(coordinator)

    def arguments(self) -> list[str]:
        """The options of kfacctl(1) for it."""
        return _options(
            {
                "--coordinator": self.endpoint,
                "--server-key": self.server_key,
                "--secret-key": self.secret_key,
                "--timeout": self.timeout,
            }
        )


def run(
    job: Job,
    *,
    output: _PathLike | None = None,
    workers: int | None = None,
    memory: int | None = None,
    state_directory: _PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Runs a job on this machine, and returns its output directory.

    Args:
        job: The job file, or its keys; then relative paths start at the working directory.
        output: The output directory, in place of the job file's own.
        workers: How many workers; together they use all cores.
        memory: Memory of each worker, in MiB.
        state_directory: Where the state of the run is kept meanwhile.
        overwrite: Replace the files of an earlier job in the output directory.
        progress: Show progress and notices on standard error.

    Raises:
        InputError: The job or one of its files is not what was expected; the message is that of ``kfacctl``.
        JobFailedError: The job failed.
        JobInterruptedError: A signal ended it.
        ProgramNotFoundError: There is no ``kfacctl``.
    """
    options = _options(
        {"--output": output, "--workers": workers, "--memory": memory, "--state-directory": state_directory}
    )
    with _job_file(job) as file:
        out = _call(["run", file, *options, *(["--overwrite"] if overwrite else [])], progress)
    marker = "outputs: "
    line = next((line for line in reversed(out.splitlines()) if line.startswith(marker)), None)
    if line is None:
        raise KfacdError(f"kfacctl run did not say where the outputs are; its version differs. It said: {out[-200:]!r}")
    return Path(line.removeprefix(marker))


def plan(job: Job, coordinator: Coordinator | str | None = None, *, overwrite: bool = False) -> Plan:
    """What a job would take. Changes nothing, and needs no coordinator unless one is given.

    Raises:
        InputError, JobFailedError, UnreachableError, ProgramNotFoundError: As :func:`run`; no coordinator answered.
    """
    options = _reached(coordinator) + (["--overwrite"] if overwrite else [])
    with _job_file(job) as file:
        program = _run(["plan", file, "--output", "json", *options], progress=False)
    notices = tuple(line.removeprefix("note: ") for line in program.stderr.splitlines() if line.startswith("note: "))
    return Plan(tuple(_made(PlanStage, item) for item in _items(program.stdout, "stages")), notices)


def submit(
    job: Job,
    coordinator: Coordinator | str | None = None,
    *,
    output: _PathLike | None = None,
    overwrite: bool = False,
) -> str:
    """Queues a job and returns its name; that of the running job if it is the same.

    Raises:
        InputError, JobFailedError, UnreachableError, ProgramNotFoundError: As :func:`plan`.
    """
    options = _options({"--output": output}) + (["--overwrite"] if overwrite else [])
    with _job_file(job) as file:
        return _call(["submit", file, *options, *_reached(coordinator)]).strip()


def watch(job: str, coordinator: Coordinator | str | None = None, *, progress: bool = True) -> JobStatus:
    """Follows a job to its end, with progress on standard error if wanted. Waits for a coordinator that went away.

    Raises:
        JobFailedError: The job failed or was cancelled.
        InputError, UnreachableError, JobInterruptedError, ProgramNotFoundError: As :func:`plan`.
    """
    _call(["watch", job, *_reached(coordinator)], progress)
    return status(job, coordinator)


def status(job: str, coordinator: Coordinator | str | None = None) -> JobStatus:
    """How far a job has come.

    Raises:
        InputError, JobFailedError, UnreachableError, ProgramNotFoundError: As :func:`plan`.
    """
    return _statuses(["status", job], coordinator)[0]


def jobs(coordinator: Coordinator | str | None = None) -> list[JobStatus]:
    """The coordinator's jobs.

    Raises:
        InputError, JobFailedError, UnreachableError, ProgramNotFoundError: As :func:`plan`.
    """
    return _statuses(["jobs"], coordinator)


def cancel(job: str, coordinator: Coordinator | str | None = None) -> None:
    """Ends a job; nothing of it is published.

    Raises:
        InputError, JobFailedError, UnreachableError, ProgramNotFoundError: As :func:`plan`.
    """
    _call(["cancel", job, *_reached(coordinator)])


def fetch(
    job: str, directory: _PathLike, coordinator: Coordinator | str | None = None, *, overwrite: bool = False
) -> Path:
    """Downloads the outputs of a finished job, checks their digests, and returns the directory.

    Raises:
        InputError, JobFailedError, UnreachableError, JobInterruptedError, ProgramNotFoundError: As :func:`plan`.
    """
    options = _reached(coordinator) + (["--overwrite"] if overwrite else [])
    _call(["fetch", job, os.fspath(directory), *options])
    return Path(directory)


def program() -> str:
    """The path of ``kfacctl``: KFACD_KFACCTL, else where pip puts programs, else on PATH.

    pip puts them beside the interpreter, whether its environment is activated or not, or with ``--user`` into the
    user's own directory.

    Raises:
        ProgramNotFoundError: It is at none of these places, or may not be executed there.
    """
    if named := os.environ.get("KFACD_KFACCTL"):
        if not os.access(named, os.X_OK) or os.path.isdir(named):
            raise ProgramNotFoundError(f"KFACD_KFACCTL names {named}, which is no program that can be run.")
        return named
    users = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    for installed in (Path(sys.executable).with_name("kfacctl"), Path(users, "kfacctl")):
        if installed.is_file():
            if not os.access(installed, os.X_OK):
                raise ProgramNotFoundError(
                    f"{installed} may not be executed. If its file system is mounted with noexec (findmnt --target "
                    f"{installed.parent}), make the environment on another one."
                )
            return str(installed)
    if found := shutil.which("kfacctl"):
        return found
    raise ProgramNotFoundError(
        f"The program kfacctl is neither beside {sys.executable} nor on PATH. Install the wheel kfacd-programs of the "
        "same version with this Python's pip, or the package kfacd on this machine, or set KFACD_KFACCTL to its path."
    )


@contextlib.contextmanager
def _job_file(job: Job) -> Iterator[str]:
    """The path of a job file; keys are written to one for the time of the call."""
    if not isinstance(job, Mapping):
        yield os.fspath(job)
        return
    with tempfile.NamedTemporaryFile("w", dir=os.getcwd(), prefix=".job-", suffix=".yaml", encoding="utf-8") as file:
        # JSON is YAML.
        json.dump(dict(job), file, default=os.fspath)
        file.flush()
        try:
            yield file.name
        except InputError as error:
            # A place in a file that nobody wrote helps nobody; the key and the value follow it.
            place = re.compile(re.escape(os.path.basename(file.name)) + r"(:\d+)*")
            raise InputError([place.sub("job", problem) for problem in error.problems]) from None


def _reached(coordinator: Coordinator | str | None) -> list[str]:
    return Coordinator.of(coordinator).arguments()


@dataclass(frozen=True)
class _Output:
    stdout: str
    stderr: str


def _call(arguments: list[str], progress: bool = False) -> str:
    return _run(arguments, progress).stdout


def _run(arguments: list[str], progress: bool) -> _Output:
    path = program()
    try:
        started = subprocess.Popen(
            [path, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            # A terminal's interrupt reaches this process alone. The program gets one signal, after which it cancels the
            # job and removes its files; a second one would end it at once.
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramNotFoundError(
            f"{path} does not start: {error.strerror}. The programs are for Linux with glibc, on processors of one "
            f"kind; this machine's kind is {platform.machine()}. Install those that are built for it."
        ) from error
    with started as process:
        try:
            output = _streamed(process, progress)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    code = process.returncode
    if code == 0:
        return output
    message = _message(output.stderr) or f"kfacctl {arguments[0]} ended with the status {code} and no message."
    if code == 2 or code == 64:
        raise InputError(message.splitlines())
    if code == 3:
        raise UnreachableError(message)
    if code == 127:
        # The loader's own exit code.
        raise ProgramNotFoundError(
            f"{path} does not start: {message}\nInstall the wheel kfacd-programs again, or the libraries that the "
            "program needs."
        )
    if code < 0 or code >= 128:
        raise JobInterruptedError(message)
    raise JobFailedError(message)


def _streamed(process: subprocess.Popen[bytes], progress: bool) -> _Output:
    """Reads both streams to their ends, and repeats standard error as it comes if wanted."""
    assert process.stdout is not None and process.stderr is not None, "both are pipes"
    chunks: list[bytes] = []

    def copy(stream: IO[bytes]) -> None:
        while chunk := stream.readline():
            chunks.append(chunk)
            if progress:
                sys.stderr.write(chunk.decode(errors="replace"))
                sys.stderr.flush()

    reader = threading.Thread(target=copy, args=(process.stderr,), daemon=True)
    reader.start()
    stdout = process.stdout.read()
    process.wait()
    reader.join()
    return _Output(stdout.decode(errors="replace"), b"".join(chunks).decode(errors="replace"))


def _message(stderr: str) -> str:
    """The program's own sentences: what follows its last notes and lines of progress."""
    lines = stderr.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if line.lower().startswith("error:")), None)
    lines = [line for line in lines if not line.startswith("note:")] if start is None else lines[start:]
    return "\n".join(line.removeprefix("error: ").removeprefix("Error: ") for line in lines)


def _statuses(arguments: list[str], coordinator: Coordinator | str | None) -> list[JobStatus]:
    out = _call([*arguments, "--output", "json", *_reached(coordinator)])
    return [_made(JobStatus, item) for item in _items(out, "jobs")]


def _items(text: str, kind: str) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = json.loads(text)[kind]
    except (ValueError, KeyError, TypeError) as error:
        raise KfacdError(f"kfacctl printed no list of {kind}; its version differs from this package's.") from error
    return items


def _made(kind: Any, item: dict[str, Any]) -> Any:
    # A later version of the program may print more.
    known = kind.__dataclass_fields__
    try:
        return kind(**{key: value for key, value in item.items() if key in known})
    except TypeError as error:
        raise KfacdError(f"kfacctl printed an incomplete entry ({error}); its version differs.") from error


def _options(values: dict[str, object | None]) -> list[str]:
    return [text for name, value in values.items() if value is not None for text in (name, str(value))]
