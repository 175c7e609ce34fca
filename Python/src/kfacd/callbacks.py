"""Callbacks that add a penalty's gradient in training loops of other libraries, which are imported when asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kfacd.problems import InputError

if TYPE_CHECKING:
    from kfacd.penalty import Penalty


def penalty_callback(penalty: Penalty, framework: str) -> Any:
    """A callback for the ``Trainer`` of ``transformers`` or ``lightning``.

    Both call it once before each optimizer step, with gradients that are averaged over processes and unscaled.

    Raises:
        InputError: Another framework was named.
        ImportError: The framework is not installed.
    """
    if framework == "transformers":
        base, hooks = importlib.import_module("transformers").TrainerCallback, _transformers_hooks(penalty)
    elif framework == "lightning":
        base, hooks = importlib.import_module("lightning.pytorch").Callback, _lightning_hooks(penalty)
    else:
        raise InputError(f"{framework!r} is no framework of a callback; expected transformers or lightning.")
    return type("PenaltyCallback", (base,), hooks)()


def _transformers_hooks(penalty: Penalty) -> dict[str, Any]:
    def on_train_begin(self: Any, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        if args.fp16 and not args.max_grad_norm:
            # The Trainer unscales gradients only where it clips them.
            raise InputError("fp16 without max_grad_norm leaves the gradients scaled; set max_grad_norm, or use bf16.")

    # The Trainer has clipped the gradients by then, so the penalty's is not clipped.
    def on_pre_optimizer_step(self: Any, args: Any, state: Any, control: Any, **arguments: Any) -> None:
        penalty.add_grad_()

    return {"on_train_begin": on_train_begin, "on_pre_optimizer_step": on_pre_optimizer_step}


def _lightning_hooks(penalty: Penalty) -> dict[str, Any]:
    def on_before_optimizer_step(self: Any, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        penalty.add_grad_()

    return {"on_before_optimizer_step": on_before_optimizer_step}
