from __future__ import annotations

from program import finished_job, kfacctl

__all__ = ["finished_job", "kfacctl"]
