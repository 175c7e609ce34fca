"""Two ResNets of torchvision learn to tell five digits each; the merged one does both."""

import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torchvision.models import resnet18

import kfacd

pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
images = (pixels.float() / 16).view(-1, 1, 8, 8).kron(torch.ones(2, 2)).expand(-1, 3, -1, -1)
is_test, tasks = torch.arange(len(images)) % 4 == 0, {"low": torch.arange(5), "high": torch.arange(5, 10)}


def train(name, where, classes, rate, steps):
    optimizer = torch.optim.AdamW(models[name].parameters(), lr=rate)
    for rows in where[torch.randint(len(where), (steps, 64))]:
        torch.nn.functional.cross_entropy(models[name](images[rows])[:, classes], labels[rows] - classes[0]).backward()
        optimizer.step()
        optimizer.zero_grad()
    save_file(models[name].state_dict(), f"resnet_{name}.safetensors")


torch.manual_seed(0)
models = {name: resnet18(num_classes=10) for name in ("base", "low", "high", "merged")}
train("base", torch.where(~is_test)[0], torch.arange(10), 1e-3, 25)
for task, classes in tasks.items():
    where = torch.where(torch.isin(labels, classes) & ~is_test)[0]
    with kfacd.collect(models["base"].eval(), task=task, layers=["*", "!layer4.*"]) as collection:
        collection.step(models["base"](images[where[:256]])[:, classes])
    collection.save(f"resnet_factors/{task}")
    models[task].eval().load_state_dict(models["base"].state_dict())  # eval() keeps the base's batch statistics.
    train(task, where, classes, 2e-4, 16)
entries = [{"model": f"resnet_{task}.safetensors", "factors": f"resnet_factors/{task}"} for task in tasks]
job = {"merge_method": "kfac", "base_model": "resnet_base.safetensors", "models": entries}
merged = kfacd.run(job, output="resnet_out", overwrite=True) / "merged/model.safetensors"
models["merged"].load_state_dict(load_file(merged))
for name, task in [(name, task) for name in models for task in tasks]:
    found = models[name].eval()(images[rows := is_test & torch.isin(labels, tasks[task])])[:, tasks[task]].argmax(1)
    print(f"{name}: {(found == labels[rows] - tasks[task][0]).float().mean():.0%} of {task}")
