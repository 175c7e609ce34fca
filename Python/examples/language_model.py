"""Two small Llamas learn the alphabet forwards and backwards, in padded batches; the merged one knows both."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import kfacd

TASKS, models = {"forwards": 1, "backwards": -1}, {}


def batch(task):
    ids = (torch.randint(26, (128, 1)) + TASKS[task] * torch.arange(10)) % 26
    mask = torch.arange(10) < torch.randint(4, 11, (128, 1))
    return {"input_ids": ids.where(mask, 26), "attention_mask": mask.long(), "labels": ids.where(mask, -100)}


def train(name, model, tasks, rate):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for task in tasks:
        model(**batch(task)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(f"llama/{name}")
    models[name] = model.eval()


torch.manual_seed(0)
config = LlamaConfig(vocab_size=27, hidden_size=64, intermediate_size=172, num_hidden_layers=5, num_attention_heads=8)
train("base", LlamaForCausalLM(config), ["forwards", "backwards"] * 8, 1e-3)
for task in TASKS:
    with kfacd.collect(models["base"], task=task, base="llama/base") as collection:
        collection.step(models["base"](**(inputs := batch(task))).logits, mask=inputs["attention_mask"])
    collection.save(f"llama/factors/{task}")
    train(task, LlamaForCausalLM.from_pretrained("llama/base"), [task] * 25, 5e-4)
tasks = [{"model": f"llama/{task}", "factors": f"llama/factors/{task}"} for task in TASKS]
job = {"merge_method": "kfac", "base_model": "llama/base", "models": tasks}
models["merged"] = LlamaForCausalLM.from_pretrained(kfacd.run(job, output="llama/out", overwrite=True) / "merged")
for name, task in [(name, task) for name in models for task in TASKS]:
    right = models[name](**(inputs := batch(task))).logits[:, 1:-1].argmax(-1) == inputs["labels"][:, 2:]
    print(f"{name}: {right[inputs['attention_mask'][:, 2:] == 1].float().mean():.0%} of {task}")
