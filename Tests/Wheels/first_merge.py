"""Ten lines from a model to a merged one."""

import kfacd
import torch
from safetensors.torch import load_file, save_file

torch.manual_seed(7)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).eval()
save_file(model.state_dict(), "base.safetensors")
for task in ("cars", "digits"):
    with kfacd.collect(model, task=task, probes=2, seed=0, base="base.safetensors") as collection:
        collection.step(model(torch.randn(64, 8)))
    collection.save(f"factors/{task}")
    tuned = {name: value + 0.1 * torch.randn_like(value) for name, value in model.state_dict().items()}
    save_file(tuned, f"{task}.safetensors")
model.load_state_dict(load_file(kfacd.run("job.yaml", workers=2) / "merged/model.safetensors"))
