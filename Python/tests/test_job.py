"""Jobs by the real program."""

from __future__ import annotations

import io
import os
import platform
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import TASKS, write_job

import kfacd

OPTIONS = ["regularizer: {form: accumulated, targets: leave_one_out}"]


def test_a_plan_lists_the_stages_and_changes_nothing(kfacctl: str, tmp_path: Path) -> None:
    plan = kfacd.plan(write_job(tmp_path, OPTIONS))
    stages = {stage.stage: stage for stage in plan.stages}
    assert stages["factor"].units == len(TASKS) * 21
    assert stages["factor"].known_units == 0
    assert not (tmp_path / "out").exists()


def test_bad_input_has_the_sentences_of_the_program(kfacctl: str, tmp_path: Path) -> None:
    job = write_job(tmp_path, OPTIONS)
    job.write_text(job.read_text().replace("merge_method", "merge_metod"))
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.run(job, progress=False)
    first, second = caught.value.problems
    assert first.startswith('job.yaml:1:1: unknown key "merge_metod" in the job. Did you mean "merge_method"?')
    assert second == 'job.yaml:1:1: the key "merge_method" is missing.'
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.plan(tmp_path / "none.yaml")
    assert str(caught.value) == f"{tmp_path}/none.yaml: there is no such job file. Check the path."


def test_the_keys_of_a_job_are_as_good_as_its_file(
    kfacctl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job(tmp_path, OPTIONS)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    models = [{"name": task, "captures": Path(f"{task}.capture.safetensors")} for task in TASKS]
    keys = {"merge_method": "task_arithmetic", "base_model": "base.safetensors", "models": models}
    factors = next(stage for stage in kfacd.plan({**keys, "output": "out"}).stages if stage.stage == "factor")
    assert factors.units == len(TASKS) * 21
    assert kfacd.run({**keys, "outputs": ["report"]}, output="out", progress=False) == tmp_path / "out"
    with pytest.raises(kfacd.InputError) as caught:
        kfacd.run({**keys, "base_model": "none.safetensors"}, output="other", progress=False)
    assert caught.value.problems[0].startswith(f"job (base_model): {tmp_path}/none.safetensors: ")
    assert sorted(set(tmp_path.iterdir()) - {tmp_path / "out"}) == before


def test_a_coordinator_that_is_not_there_is_unreachable(kfacctl: str) -> None:
    coordinator = kfacd.Coordinator("tcp://127.0.0.1:1", timeout=1)
    with pytest.raises(kfacd.UnreachableError, match=r"^no coordinator answered at tcp://127.0.0.1:1"):
        kfacd.jobs(coordinator)


@pytest.mark.parametrize("command", [kfacd.status, kfacd.watch, kfacd.cancel])
def test_every_command_says_that_it_is_unreachable(kfacctl: str, command: object) -> None:
    with pytest.raises(kfacd.UnreachableError):
        command("job-1", kfacd.Coordinator("tcp://127.0.0.1:1", timeout=1))  # type: ignore[operator]


def test_an_absent_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KFACD_KFACCTL", str(tmp_path / "kfacctl"))
    with pytest.raises(kfacd.ProgramNotFoundError) as caught:
        kfacd.plan("job.yaml")
    assert str(caught.value) == f"KFACD_KFACCTL names {tmp_path / 'kfacctl'}, which is no program that can be run."
    monkeypatch.delenv("KFACD_KFACCTL")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    with pytest.raises(kfacd.ProgramNotFoundError) as caught:
        kfacd.plan("job.yaml")
    assert str(caught.value) == (
        f"The program kfacctl is neither beside {sys.executable} nor on PATH. Install the wheel kfacd-programs of the "
        "same version with this Python's pip, or the package kfacd on this machine, or set KFACD_KFACCTL to its path."
    )


@pytest.mark.parametrize("is_of_user", [False, True])
def test_the_program_is_found_where_pip_puts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_of_user: bool
) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "kfacctl"
    monkeypatch.delenv("KFACD_KFACCTL", raising=False)
    monkeypatch.setenv("PATH", "")
    if is_of_user:
        monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(program.parent))
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    program.touch(mode=0o755)
    assert kfacd.job.program() == str(program)
    program.chmod(0o644)
    with pytest.raises(kfacd.ProgramNotFoundError) as caught:
        kfacd.plan("job.yaml")
    assert str(caught.value) == (
        f"{program} may not be executed. If its file system is mounted with noexec (findmnt --target "
        f"{program.parent}), make the environment on another one."
    )


def chosen_program(monkeypatch: pytest.MonkeyPatch, directory: Path, content: bytes) -> Path:
    """A program of this content, which the package takes for kfacctl."""
    program = directory / "kfacctl"
    program.write_bytes(content)
    program.chmod(0o755)
    monkeypatch.setenv("KFACD_KFACCTL", str(program))
    return program


@pytest.mark.parametrize(
    ("content", "cause"), [(b"\x7fELF", "Exec format error"), (b"#!/none\n", "No such file or directory")]
)
def test_a_program_for_another_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, cause: str
) -> None:
    program = chosen_program(monkeypatch, tmp_path, content)
    with pytest.raises(kfacd.ProgramNotFoundError) as caught:
        kfacd.plan("job.yaml")
    assert str(caught.value) == (
        f"{program} does not start: {cause}. The programs are for Linux with glibc, on processors of one kind; this "
        f"machine's kind is {platform.machine()}. Install those that are built for it."
    )


def test_a_program_without_its_libraries_has_the_loaders_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = b"#!/bin/sh\necho 'kfacctl: error while loading shared libraries: libzmq.so.5' >&2\nexit 127\n"
    program = chosen_program(monkeypatch, tmp_path, script)
    with pytest.raises(kfacd.ProgramNotFoundError) as caught:
        kfacd.plan("job.yaml")
    assert str(caught.value) == (
        f"{program} does not start: kfacctl: error while loading shared libraries: libzmq.so.5\n"
        "Install the wheel kfacd-programs again, or the libraries that the program needs."
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [(1, kfacd.JobFailedError), (2, kfacd.InputError), (3, kfacd.UnreachableError), (130, kfacd.JobInterruptedError)],
)
def test_every_exit_code_has_its_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, error: type[Exception]
) -> None:
    script = f"#!/bin/sh\necho 'note: a remark' >&2\necho 'error: first.' >&2\necho second. >&2\nexit {code}\n"
    chosen_program(monkeypatch, tmp_path, script.encode())
    with pytest.raises(error) as caught:
        kfacd.submit("job.yaml")
    assert str(caught.value) == "first.\nsecond."


def await_socket(path: Path, coordinator: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 180
    while not path.exists():
        assert coordinator.poll() is None, f"the coordinator ended with code {coordinator.returncode}"
        assert time.monotonic() < end, f"{path} did not appear within three minutes"
        time.sleep(0.05)


class Interrupting(io.StringIO):
    """A terminal at which somebody presses Ctrl-C when the first line appears."""

    def write(self, text: str) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return len(text)


def test_an_interrupt_ends_the_program_by_one_signal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    signals = tmp_path / "signals"
    script = (
        f"#!/bin/sh\ntrap 'echo got >>{signals}; exit 130' TERM INT\necho ready >&2\nwhile :; do sleep 0.05; done\n"
    )
    chosen_program(monkeypatch, tmp_path, script.encode())
    monkeypatch.setattr(sys, "stderr", Interrupting())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            kfacd.run("job.yaml")
    finally:
        signal.signal(signal.SIGINT, before)
    assert signals.read_text() == "got\n"


@pytest.fixture
def coordinator(kfacctl: str, tmp_path: Path) -> Iterator[kfacd.Coordinator]:
    """A coordinator and a worker of this build, which end with the test."""
    daemon = Path(kfacctl).with_name("kfacd")
    if not daemon.exists():
        pytest.skip("the program kfacd is not beside kfacctl")
    endpoint = f"ipc://{tmp_path}/socket"
    commands = [
        ["coordinator", "--bind", endpoint, "--state-directory", str(tmp_path / "state"), "--http", "off"],
        ["worker", "--coordinator", endpoint, "--cache-directory", str(tmp_path / "worker"), "--lanes", "1"],
    ]
    commands = [[str(daemon), *command, "--log-level", "error", "--end-with-input"] for command in commands]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for command in commands]
    await_socket(tmp_path / "socket", processes[0])
    yield kfacd.Coordinator(endpoint, timeout=30)
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait()


def test_a_job_is_submitted_followed_and_fetched(
    coordinator: kfacd.Coordinator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job").mkdir()
    name = kfacd.submit(write_job(tmp_path / "job", OPTIONS), coordinator)
    status = kfacd.watch(name, coordinator, progress=True)
    assert status.state == "succeeded"
    assert status.finished_units == status.total_units > 0
    assert name in capsys.readouterr().err
    assert coordinator.endpoint is not None
    assert [job.job for job in kfacd.jobs(coordinator.endpoint)] == [name]
    assert kfacd.status(name, coordinator) == kfacd.jobs(coordinator)[0]
    kfacd.cancel(name, coordinator)
    fetched = kfacd.fetch(name, tmp_path / "fetched", coordinator)
    assert (fetched / "regularizer/alpha/regularizer.safetensors").exists()
    with pytest.raises(kfacd.InputError):
        kfacd.status("no-such-job", coordinator)
