"""Reports each check when it ends, and all checks in a table at the end."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Line:
    """A check and its result."""

    title: str
    result: str
    seconds: float
    note: str


class Report:
    """Runs checks one after the other; stops at a failure, because later checks build on earlier ones."""

    def __init__(self, on_failure: Callable[[str], None]):
        self.on_failure = on_failure
        self.lines: list[Line] = []
        self.has_failed = False

    def check(self, title: str, body: Callable[[], str | None]) -> None:
        """Runs a check; the value of its body is a note for the table."""
        if self.has_failed:
            self.lines.append(Line(title, "not run", 0, ""))
            return
        print(f"- {title} …", end="", flush=True)
        began = time.monotonic()
        try:
            note = body() or ""
        except Exception:
            self.has_failed = True
            self.lines.append(Line(title, "FAILED", time.monotonic() - began, ""))
            print(" FAILED", flush=True)
            self.on_failure(traceback.format_exc())
            return
        seconds = time.monotonic() - began
        self.lines.append(Line(title, "passed", seconds, note))
        print(f" passed ({seconds:.1f} s{': ' if note else ''}{note})", flush=True)

    def table(self) -> str:
        """The checks in a table."""
        width = max((len(line.title) for line in self.lines), default=0)
        rows = [f"{line.title:{width}}  {line.result:8} {line.seconds:6.1f} s  {line.note}" for line in self.lines]
        return "\n".join(row.rstrip() for row in rows)
