from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(2)

from daemons import cluster  # noqa: E402
from operators import declare_missing_operators  # noqa: E402
from program import finished_job, kfacctl  # noqa: E402

declare_missing_operators()

__all__ = ["cluster", "finished_job", "kfacctl"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(7)
