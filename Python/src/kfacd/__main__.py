"""``python -m kfacd import|export``: factors between kfacd and other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kfacd import caches
from kfacd.checkpoints import sha256_base
from kfacd.errors import KfacdError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the result is the exit code: 0, or 2 for bad usage or bad input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "import":
            factors = caches.read(
                options.program,
                options.path,
                task=options.task,
                task_id=options.task_id,
                probes=options.probes,
                samples=options.samples,
                prefix=options.prefix,
            )
            if options.base is not None:
                factors.sha256_base = sha256_base(options.base)
            print(factors.save(options.output, "packed" if options.packed else "full"))
        else:
            loaded = caches.load(options.factors, samples=options.samples or 1)
            files = caches.write(
                options.program,
                options.path,
                loaded,
                task=options.task,
                task_id=options.task_id or 0,
                prefix=options.prefix,
            )
            print("\n".join(map(str, files)))
    except KfacdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kfacd", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("import", help="read another program's cache into kfacd.factors/1")
    reading.add_argument("program", choices=["mammoth", "merge-and-rebase", "kronfluence"])
    reading.add_argument("path", help="the cache")
    reading.add_argument("--task", required=True, help="the task's name")
    reading.add_argument("--output", required=True, help="the directory for factors.safetensors")
    reading.add_argument("--base", help="the base checkpoint, whose digest the factors then state")
    reading.add_argument("--probes", type=int, help="M, by which B and F are divided; mammoth does not store it")
    reading.add_argument("--packed", action="store_true", help="write triangles, which take half the space")
    writing = commands.add_parser("export", help="write kfacd's factors or regularizer as another program's cache")
    writing.add_argument("program", choices=["mammoth", "kronfluence"])
    writing.add_argument("factors", help="factors, or an accumulated regularizer: one pseudo-task")
    writing.add_argument("path", help="the directory of the cache")
    writing.add_argument("--task", help="mammoth: the data set in the files' names")
    for command in (reading, writing):
        command.add_argument("--task-id", type=int, help="mammoth: the number in the files' names")
        command.add_argument("--samples", type=int, help="N, where the files do not state it")
        command.add_argument("--prefix", default="visual.", help="what precedes the vision tower's names in the base")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
