"""Jobs for the services: the bundled example, and one that runs long enough for disturbances."""

import hashlib
import json
import random
import re
import shutil
import struct
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "Examples/small"
LONG_TASKS = ("first", "second", "third")
LONG_LAYERS = ("body.0", "body.1", "body.2")
LONG_DIMENSION = 1536
LONG_SAMPLES = 16384


def copy_example(destination: Path) -> None:
    """Copies the example's inputs."""
    shutil.copytree(EXAMPLE, destination, ignore=shutil.ignore_patterns("out", "reference"))
    for path in destination.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def half_floats(count: int, seed: str) -> bytes:
    """Finite numbers of half precision; equal seeds give equal numbers on every machine."""
    byte_count = 2 * count
    bits = int.from_bytes(random.Random(seed).randbytes(byte_count), "little")
    # Without the highest bit of its exponent a number is smaller than 2.
    mask = int.from_bytes(b"\xff\xbf" * count, "little")
    return (bits & mask).to_bytes(byte_count, "little")


def write_tensors(file: Path, shapes: dict[str, tuple[int, int]], metadata: dict[str, str]) -> None:
    """Writes a safetensors file of half precision."""
    header: dict = {"__metadata__": metadata}
    offset = 0
    for name, (rows, columns) in shapes.items():
        end = offset + 2 * rows * columns
        header[name] = {"dtype": "F16", "shape": [rows, columns], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name, (rows, columns) in shapes.items():
            stream.write(half_floats(rows * columns, f"{file.name} {name}"))


def write_long_job(directory: Path) -> None:
    """Writes a job of large layers, whose factors and inverses take a while."""
    directory.mkdir(parents=True)
    weights = {f"{layer}.weight": (LONG_DIMENSION, LONG_DIMENSION) for layer in LONG_LAYERS}
    write_tensors(directory / "base.safetensors", weights, {"format": "pt"})
    rows = {
        f"{layer}.{side}": (LONG_SAMPLES, LONG_DIMENSION) for layer in LONG_LAYERS for side in ("input", "output_grad")
    }
    for task in LONG_TASKS:
        metadata = {"format": "kfacd.capture/1", "task": task, "samples": str(LONG_SAMPLES), "probes": "1"}
        write_tensors(directory / f"{task}.safetensors", rows, metadata)
    models = "".join(f"  - name: {task}\n    captures: {task}.safetensors\n" for task in LONG_TASKS)
    (directory / "job.yaml").write_text(
        f"merge_method: kfac\nbase_model: base.safetensors\nmodels:\n{models}"
        "kfac:\n  normalization: tak\n  damping: {rule: relative, value: 0.1}\n"
        "  regularizer: {form: accumulated, targets: leave_one_out}\n"
        "outputs: [factors, regularizer, inverses, report]\noutput: out\n"
    )


def content(directory: Path) -> dict[str, str]:
    """The digest of every output by its path; the reports count without their parts about the run.

    The list of the files is left out: its publisher and time differ, and the digests are compared anyway.
    """
    digests = {}
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        if file.name == "report.json":
            report = json.loads(file.read_text())
            del report["run"]
            data = json.dumps(report, sort_keys=True).encode()
        elif file.name == "report.html":
            page = re.sub('<p class="run">.*?</p>', "", file.read_text(), flags=re.DOTALL)
            data = re.sub('<section id="run">.*?</section>', "", page, flags=re.DOTALL).encode()
        elif file.name == ".kfacd-manifest.json":
            continue
        else:
            data = file.read_bytes()
        digests[str(file.relative_to(directory))] = hashlib.sha256(data).hexdigest()
    return digests


def require_same(outputs: Path, reference: Path) -> str:
    """Compares two jobs' outputs byte for byte; returns the number of files."""
    left, right = content(outputs), content(reference)
    assert left and right, f"there are no outputs in {reference if left else outputs}."
    different = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
    assert not different, f"{outputs} differs from the undisturbed run: {', '.join(different)}"
    return f"{len(left)} files are the same to the byte"
