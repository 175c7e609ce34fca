"""The callbacks of training loops, in real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import kfacd

A = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
B = torch.tensor([[2.0, 1.0], [1.0, 2.0]])


def regularizer(directory: Path) -> Path:
    """One of a layer ``fc`` with 2 inputs, a bias and 2 outputs."""
    metadata = {"format": "kfacd.regularizer/1", "target": "all", "form": "accumulated", "scale": "paper"}
    path = directory / "regularizer.safetensors"
    save_file({"fc.A": A, "fc.B": B}, path, metadata)
    return path


class Flat(nn.Module):
    """A model whose own loss has the gradient 0, so that only the penalty moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        return {"loss": 0 * self.fc(x).sum()}


def after_one_step(model: Flat, base: dict[str, torch.Tensor], rate: float) -> torch.Tensor:
    """Plain gradient descent on tr(B Δ A Δᵀ)."""
    delta = torch.cat([model.fc.weight - base["fc.weight"], (model.fc.bias - base["fc.bias"])[:, None]], 1).detach()
    return delta - rate * 2 * B @ delta @ A


def moved(tmp_path: Path) -> tuple[Flat, dict[str, torch.Tensor], kfacd.Penalty]:
    torch.manual_seed(0)
    model = Flat()
    base = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    return model, base, kfacd.Penalty(regularizer(tmp_path), model, base=base, beta=1.0)


def check(model: Flat, expected: torch.Tensor) -> None:
    found = torch.cat([model.fc.weight, model.fc.bias[:, None]], 1).detach()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(2), "labels": torch.tensor(0)}


def test_the_trainer_of_transformers_descends_the_penalty_once_for_accumulated_batches(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    model, base, pen = moved(tmp_path)
    expected = after_one_step(model, base, 0.01)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=1, learning_rate=0.01, optim="sgd", lr_scheduler_type="constant",
        per_device_train_batch_size=1, gradient_accumulation_steps=4, report_to=[], use_cpu=True, save_strategy="no",
        disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=Rows(), callbacks=[pen.callback()])
    trainer.train()
    check(model, expected)


def test_scaled_gradients_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    _, _, pen = moved(tmp_path)

    class Arguments:
        fp16 = True
        max_grad_norm = 0.0

    with pytest.raises(kfacd.InputError, match="fp16 without max_grad_norm leaves the gradients scaled"):
        pen.callback("transformers").on_train_begin(Arguments(), None, None)


def test_the_trainer_of_lightning_descends_the_penalty(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    model, base, pen = moved(tmp_path)
    expected = after_one_step(model, base, 0.01)

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: dict[str, torch.Tensor]) -> Any:
            return self.model(batch["x"])["loss"]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.01)

    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[pen.callback("lightning")], default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(Rows()))
    check(model, expected)


def test_another_framework_is_refused(tmp_path: Path) -> None:
    _, _, pen = moved(tmp_path)
    with pytest.raises(kfacd.InputError) as caught:
        pen.callback("keras")  # type: ignore[arg-type]
    assert str(caught.value) == "'keras' is no framework of a callback; expected transformers or lightning."
