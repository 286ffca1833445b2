"""The dense encoder of encoder.c in PyTorch, for comparison: same sizes, random weights, fused attention, torch.compile.
With torch.compile's default, and then with "max-autotune", which compiles for a minute or more a row.

usage: peer.py [--json FILE]
Times by CUDA events, ids copied to the device and final states back to pinned memory included, as in encoder.c.
"""

import itertools
import json
import statistics
import sys

import torch
from torch import nn
from torch.nn import functional

LAYERS, HIDDEN, HEADS, WIDTH, VOCAB, LENGTH = 16, 768, 12, 3072, 32768, 128
BATCHES = (8, 32, 128)
ROUNDS = 7
MODES = ("default", "max-autotune")
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.norm2 = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.ffn_in = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.ffn_out = nn.Linear(WIDTH, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, HIDDEN // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, HIDDEN))
        return x + self.ffn_out(functional.gelu(self.ffn_in(self.norm2(x))))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCAB, HIDDEN)
        self.position = nn.Parameter(torch.randn(LENGTH, HIDDEN))
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.final = nn.LayerNorm(HIDDEN, eps=1e-12)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.word(ids) + self.position)
        for block in self.blocks:
            x = block(x)
        return self.final(x).float()


def time_batch(run, batch: int) -> float:
    """Seconds, the median of ROUNDS."""
    ids = torch.randint(VOCAB, (batch, LENGTH)).pin_memory()
    final = torch.empty(batch, LENGTH, HIDDEN).pin_memory()
    seconds = []
    for i in range(-4, ROUNDS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        final.copy_(run(ids.cuda(non_blocking=True)), non_blocking=True)
        end.record()
        torch.cuda.synchronize()
        if i >= 0:
            seconds.append(start.elapsed_time(end) * 1e-3)
    return statistics.median(seconds)


def time_compiled(model: nn.Module, mode: str, batch: int) -> float:
    """Seconds. A compilation for each shape, which is what a user of one shape would have."""
    torch.compiler.reset()
    with torch.inference_mode():
        return time_batch(torch.compile(model, mode=mode), batch)


def main() -> None:
    lines = open(sys.argv[2], "a") if sys.argv[1:2] == ["--json"] else None
    if not torch.cuda.is_available():
        print("PyTorch sees no CUDA device")
        return
    torch.manual_seed(1)
    print(f"\nPyTorch {torch.__version__}, the dense encoder, torch.compile")
    print(f"{'dtype':<6} {'sequences':>9} {'ms':>12} {'tokens/s':>14}  mode")
    for mode, (name, dtype) in itertools.product(MODES, DTYPES.items()):
        model = Encoder().to("cuda", dtype).eval()
        for batch in BATCHES:
            seconds = time_compiled(model, mode, batch)
            print(f"{name:<6} {batch:>9} {seconds * 1e3:>12.3f} {batch * LENGTH / seconds:>14.0f}  {mode}", flush=True)
            if lines:
                record = {"part": "encoder", "device": torch.cuda.get_device_name(), "engine": f"PyTorch {torch.__version__}", "model": "dense 3072", "dtype": name}
                print(json.dumps(record | {"mode": mode, "sequences": batch, "length": LENGTH, "seconds": seconds}), file=lines, flush=True)


if __name__ == "__main__":
    main()
