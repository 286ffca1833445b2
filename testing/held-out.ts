/**
 * Scores masked language models on the held-out end of a corpus, exactly as `uffb pretrain` scores what it trains:
 *
 *     bun testing/held-out.ts CORPUS CACHE [--masked 0.2] [--held-out 0.005] [--length 128] MODEL...
 *
 * CACHE is the folder that --cache named, or an empty one. A line for each model: loss, accuracy, path. The models must have one tokenizer, that of
 * the first.
 */
import { parseArgs } from "node:util";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import { openTokenizerFiles } from "../lib/model/tokenizer.ts";
import { openTrainable } from "../lib/model/trainable.ts";
import { scoreHeldOut } from "../lib/train/pretrain/score.ts";
import { Sequences } from "../lib/train/pretrain/sequences.ts";
import { tokensOf } from "../lib/train/pretrain/tokens.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    masked: { type: "string", default: "0.2" },
    "held-out": { type: "string", default: "0.005" },
    length: { type: "string", default: "128" },
  },
});
const [corpus, cache, ...models] = positionals;
if (corpus === undefined || cache === undefined || models.length === 0)
  throw new Error("usage: bun testing/held-out.ts CORPUS CACHE MODEL...");
const { tokenizer, texts } = await openTokenizerFiles(models[0]!);
const { ids } = await tokensOf([corpus], tokenizer, texts["tokenizer.json"]!, cache, { mostTokens: 1 });
const sequences = new Sequences(ids, {
  length: Number(values.length),
  heldOut: Number(values["held-out"]),
  mostHeldOut: 8192,
  order: "prevalence",
  counted: undefined,
  seed: 1,
});
for (const path of models) {
  const { trainer } = openTrainable(openCheckpoint(path));
  using _ = trainer;
  trainer.ready();
  const found = await scoreHeldOut(trainer, sequences, {
    objective: "masked",
    masked: Number(values.masked),
    mask: tokenizer.specials.mask!.id,
    vocab: tokenizer.vocabSize,
    microbatch: 64,
  });
  console.log(`${found!.loss.toFixed(4)}\t${found!.accuracy.toFixed(4)}\t${path}`);
}
