"""Fine-tunes a model for a task of GLUE in PyTorch by the recipe of `uffb glue`, for docs/scores.md: a JSON line for each seed.

    python3 testing/torch-glue.py TASK MODEL GLUE [--seeds 1,2,3,4,5] [--threads 1] [--epochs 5] [--batch 16] [--lr 4e-5] [--dropout 0.1]
    (with torch and tokenizers; transformers for a BERT)
    python3 testing/torch-glue.py TASK MODEL GLUE --replay FOLDER

TASK is mrpc, rte, cola, stsb or sst2; MODEL a folder with config.json, model.safetensors and tokenizer.json: a crammedBERT whose feedforward layers are trees,
which is built below, or what AutoModelForSequenceClassification of transformers loads. GLUE has the folders MRPC, RTE, CoLA, STS-B, SST-2. With --epochs 0 a
checkpoint that has its head is scored as it is. With --replay, FOLDER gets the model with its new head, and in steps.safetensors what 20 steps without dropout come to,
for `uffb verify FOLDER FOLDER/steps.safetensors`; with a BERT for cola and sst2, as steps have no token types. Nothing of uffb runs here; data, batches,
schedule and metrics are written once more.
"""
import argparse
import json
import math
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

LENGTH, WARMUP = 128, 0.1
RECIPE = argparse.Namespace(epochs=5, batch=16, lr=4e-5, dropout=0.1)  # what main() reads into it where it is given
ADAMW = {"betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.0}

ENTAILMENT = {"entailment": 0, "not_entailment": 1}
BINARY = {"0": 0, "1": 1}
# Folder, columns of the texts and of the label, header lines, names of the classes; none for a score.
TASKS = {
    "mrpc": ("MRPC", (3, 4), 0, 1, BINARY),
    "rte": ("RTE", (1, 2), 3, 1, ENTAILMENT),
    "cola": ("CoLA", (3,), 1, 0, BINARY),
    "stsb": ("STS-B", (7, 8), 9, 1, None),
    "sst2": ("SST-2", (0,), 1, 1, BINARY),
}


def read(task, glue, split):
    folder, texts, label, header, classes = TASKS[task]
    with open(f"{glue}/{folder}/{split}.tsv", encoding="utf-8-sig") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][header:]
    return [([row[i] for i in texts], classes[row[label]] if classes else float(row[label])) for row in rows]


class Trees(nn.Module):
    """Binary trees: a token's output is the sum over the nodes of its path in each. The path has no gradient, as in the released code."""

    def __init__(self, hidden, trees, depth):
        super().__init__()
        self.depth, self.shape = depth, (trees, 2 ** (depth + 1) - 1)
        self.linear_in = nn.Linear(hidden, math.prod(self.shape))
        self.linear_out = nn.Linear(math.prod(self.shape), hidden, bias=False)

    def forward(self, x):
        logits = self.linear_in(x).unflatten(-1, self.shape)
        with torch.no_grad():
            node = torch.zeros(*logits.shape[:-1], 1, dtype=torch.long)
            path = torch.zeros_like(logits)
            for level in range(self.depth + 1):
                path.scatter_(-1, node, 1.0)
                if level < self.depth:
                    node = 2 * node + 1 + (logits.gather(-1, node) > 0)
        return self.linear_out((F.gelu(logits) * path).flatten(-2))


class Layer(nn.Module):
    def __init__(self, arch):
        super().__init__()
        hidden = arch["hidden_size"]
        self.heads = arch["attention"]["num_attention_heads"]
        self.norm1, self.norm2 = (nn.LayerNorm(hidden, arch["norm_eps"]) for _ in range(2))
        self.attn = nn.ModuleDict(
            {
                "self_attention": nn.ModuleDict({"query_key_value": nn.Linear(hidden, 3 * hidden, bias=False)}),
                "dense": nn.Linear(hidden, hidden, bias=False),
            }
        )
        self.ffn = Trees(hidden, arch["intermed_size"], arch["intermed_depth"])
        self.drop = nn.Dropout(RECIPE.dropout)

    def attend(self, x, real):
        """x [tokens, hidden]: there is padding where tokens attend, and nowhere else."""
        size = x.shape[-1] // self.heads
        qkv = x.new_zeros(*real.shape, 3 * x.shape[-1])
        qkv[real] = self.attn["self_attention"]["query_key_value"](x)
        q, k, v = qkv.unflatten(-1, (self.heads, 3, size)).permute(3, 0, 2, 1, 4)  # the three parts lie together, head by head
        scores = q @ k.transpose(-1, -2) / math.sqrt(size)
        shares = scores.masked_fill(~real[:, None, None], float("-inf")).softmax(-1)
        return self.attn["dense"]((self.drop(shares) @ v).transpose(1, 2).flatten(2)[real])

    def forward(self, x, real):
        x = x + self.drop(self.attend(self.norm1(x), real))
        return x + self.drop(self.ffn(self.norm2(x)))


class Crammed(nn.Module):
    """The released UltraFastBERT with its head for sequences: first token, dense, tanh, dropout, linear. Parameters are named as in its checkpoints."""

    def __init__(self, arch, labels):
        super().__init__()
        embedding, hidden = arch["embedding"], arch["hidden_size"]
        norm = lambda: nn.LayerNorm(hidden, arch["norm_eps"])
        self.encoder = nn.ModuleDict(
            {
                "embedding": nn.ModuleDict(
                    {
                        "word_embedding": nn.Embedding(embedding["vocab_size"], hidden),
                        "pos_embedding": nn.ParameterDict({"scale_factor": nn.Parameter(torch.ones(1))}),
                        "norm": norm(),
                    }
                ),
                "layers": nn.ModuleList(Layer(arch) for _ in range(arch["num_transformer_layers"])),
                "final_norm": norm(),
            }
        )
        width = arch["classification_head"]["head_dim"]
        self.pooler = nn.ModuleDict({"dense": nn.Linear(hidden, width)})
        self.head = nn.Linear(width, labels)
        self.drop = nn.Dropout(RECIPE.dropout)
        turns = torch.exp(torch.arange(0, hidden, 2) * (-math.log(10000.0) / hidden))
        angles = torch.arange(embedding["max_seq_length"])[:, None] * turns
        self.register_buffer("waves", torch.stack([angles.sin(), angles.cos()], -1).flatten(1), persistent=False)

    def forward(self, ids, mask, types):
        parts = self.encoder["embedding"]
        real = mask.bool()
        place = real.nonzero()[:, 1]
        places = self.waves[place] * parts["pos_embedding"]["scale_factor"]
        x = self.drop(parts["norm"](parts["word_embedding"](ids[real]) + places))
        for layer in self.encoder["layers"]:
            x = layer(x, real)
        return self.head(self.drop(torch.tanh(self.pooler["dense"](self.encoder["final_norm"](x[place == 0])))))


def crammed(folder, config, labels):
    model = Crammed(config["arch"], labels)
    given = load_file(f"{folder}/model.safetensors")
    for name, parameter in model.named_parameters():
        if name in given and given[name].shape == parameter.shape:
            parameter.data.copy_(given[name])
        elif name.startswith(("pooler.", "head.")):
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter, 0.0, 0.02)
        else:
            raise SystemExit(f"{folder}: no {name}")
    return model


def bert(folder, labels):
    """Its own pooler where the checkpoint has one; the new layer is N(0, 0.02) with a zero bias, too."""
    from transformers import AutoModelForSequenceClassification, logging

    logging.set_verbosity_error()
    rates = {"hidden_dropout_prob": RECIPE.dropout, "attention_probs_dropout_prob": RECIPE.dropout, "classifier_dropout": RECIPE.dropout}
    inner = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels, **rates)

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, ids, mask, types):
            return self.inner(input_ids=ids, attention_mask=mask, token_type_ids=types).logits

    return Logits()


def encode(folder, examples, crams):
    """A single text is the pair (text, "") for a crammedBERT: <cls> A <sep> <sep>."""
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH, strategy="longest_first")
    pairs = [(*texts, "") if crams and len(texts) == 1 else tuple(texts) for texts, _ in examples]
    found = [tokenizer.encode(*pair) for pair in pairs]
    return [(row.ids, row.type_ids, target) for row, (_, target) in zip(found, examples)]


def batch_of(rows, scores):
    longest = max(len(ids) for ids, _, _ in rows)
    ids, mask, types = (torch.zeros(len(rows), longest, dtype=torch.long) for _ in range(3))
    for i, (row, kinds, _) in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)], types[i, : len(row)] = torch.tensor(row), 1, torch.tensor(kinds)
    targets = torch.tensor([target for *_, target in rows], dtype=torch.float if scores else torch.long)
    return (ids, mask, types), targets


def rate(step, steps):
    """A cosine from the first step on, times a rise over the first tenth."""
    rise = math.floor(WARMUP * steps + 0.5)
    return RECIPE.lr * (1 + math.cos(math.pi * step / steps)) / 2 * min(1.0, (step + 1) / rise)


def train(model, rows, scores):
    optimiser = torch.optim.AdamW(model.parameters(), lr=RECIPE.lr, fused=True, **ADAMW)
    per_epoch = len(rows) // RECIPE.batch
    steps, total = per_epoch * RECIPE.epochs, 0.0
    model.train()
    for step in range(steps):
        if step % per_epoch == 0:
            order, total = torch.randperm(len(rows)).tolist(), 0.0
        first = step % per_epoch * RECIPE.batch
        inputs, targets = batch_of([rows[i] for i in order[first : first + RECIPE.batch]], scores)
        logits = model(*inputs)
        loss = F.mse_loss(logits[:, 0], targets) if scores else F.cross_entropy(logits, targets)
        optimiser.param_groups[0]["lr"] = rate(step, steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / per_epoch


@torch.no_grad()
def predict(model, rows, scores):
    model.eval()
    logits = torch.zeros(len(rows), 1 if scores else 2)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    for first in range(0, len(rows), 32):
        chosen = order[first : first + 32]
        logits[chosen] = model(*batch_of([rows[i] for i in chosen], scores)[0])
    return logits


def stored(model):
    """Parameters by their names in a checkpoint."""
    return {name.removeprefix("inner."): parameter.detach().clone() for name, parameter in model.named_parameters()}


def replay(model, rows, scores, steps=20):
    """Losses, norms of gradients and the last weights of the first steps, without dropout and in the order of the rows."""
    (ids, mask, types), targets = batch_of(rows[: steps * RECIPE.batch], scores)
    ids, mask, types, targets = (part.unflatten(0, (steps, RECIPE.batch)) for part in (ids, mask, types, targets))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RECIPE.lr, fused=True, **ADAMW)
    rates, losses, norms = [rate(step, steps) for step in range(steps)], [], []
    model.eval()
    for step in range(steps):
        logits = model(ids[step], mask[step], types[step])
        loss = F.mse_loss(logits[:, 0], targets[step]) if scores else F.cross_entropy(logits, targets[step])
        optimiser.param_groups[0]["lr"] = rates[step]
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        norms.append(nn.utils.get_total_norm([parameter.grad for parameter in model.parameters()]).item())
        optimiser.step()
    ends = {f"end.{name}": value for name, value in stored(model).items()}
    numbers = {"lr": torch.tensor(rates), "loss": torch.tensor(losses), "grad_norm": torch.tensor(norms)}
    return {"input_ids": ids, "attention_mask": mask, "labels": targets, **numbers, **ends}


def write_replay(folder, source, config, model, rows, scores):
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(f"{source}/{name}", folder)
    labels = 1 if scores else 2
    kind = "ScriptableLMForSequenceClassification" if "arch" in config else "BertForSequenceClassification"
    config = {**config, "architectures": [kind], "num_labels": labels, "id2label": {str(i): f"LABEL_{i}" for i in range(labels)}}
    if "arch" in config:
        config["arch"] = {**config["arch"], "num_labels": labels}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(stored(model), folder / "model.safetensors")
    (beta1, beta2), eps, decay = ADAMW.values()
    about = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": decay, "clip": 0}
    steps = replay(model, rows, scores)
    save_file(steps, folder / "steps.safetensors", {key: str(value) for key, value in about.items()})


def correlation(a, b):
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1].item()


def metrics(task, logits, rows):
    """The task's own score first."""
    truth = torch.tensor([target for *_, target in rows])
    if task == "stsb":
        return {"pearson": correlation(logits[:, 0], truth)}
    said = logits.argmax(1)
    both, right = (said * truth).sum().item(), (said == truth).double().mean().item()
    if task == "mrpc":
        return {"f1": 2 * both / (said.sum() + truth.sum()).item(), "accuracy": right}
    if task == "cola":
        constant = said.min() == said.max()
        return {"matthews": 0.0 if constant else correlation(said, truth), "accuracy": right}
    return {"accuracy": right}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("model")
    parser.add_argument("glue")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--replay", metavar="FOLDER")
    recipe = parser.add_argument_group("recipe")
    for name, default in vars(RECIPE).items():
        recipe.add_argument(f"--{name}", type=type(default), default=default)
    args = parser.parse_args()
    for name in vars(RECIPE):
        setattr(RECIPE, name, getattr(args, name))
    torch.set_num_threads(args.threads)
    with open(f"{args.model}/config.json") as file:
        config = json.load(file)
    crams, scores = config["model_type"] == "crammedBERT", args.task == "stsb"
    rows, dev = (encode(args.model, read(args.task, args.glue, split), crams) for split in ("train", "dev"))
    for seed in map(int, args.seeds.split(",")):
        torch.manual_seed(seed)
        labels = 1 if scores else 2
        model = crammed(args.model, config, labels) if crams else bert(args.model, labels)
        if args.replay:
            return write_replay(args.replay, args.model, config, model, rows, scores)
        start = time.perf_counter()
        loss = train(model, rows, scores) if RECIPE.epochs else None
        found = metrics(args.task, predict(model, dev, scores), dev)
        seconds = round(time.perf_counter() - start, 1)
        about = {"train": len(rows), "dev": len(dev), "loss": loss, "seconds": seconds, "torch": torch.__version__}
        print(json.dumps({"task": args.task, "seed": seed, **found, **about}), flush=True)


if __name__ == "__main__":
    main()
