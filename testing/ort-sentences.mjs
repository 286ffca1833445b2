/**
 * Times an ONNX encoder on texts of given lengths, sorted, each batch padded to its longest text:
 *
 *     node ort-sentences.mjs MODEL.onnx LENGTHS.json [THREADS] [BATCH]
 *
 * LENGTHS.json is a list of numbers of tokens; ids are random, as time does not depend on them. Needs onnxruntime-node where it runs, which
 * uffb does not install: `npm i --ignore-scripts onnxruntime-node`.
 */
import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";

const [model, list, threads = "1", size = "32"] = process.argv.slice(2);
const lengths = JSON.parse(readFileSync(list, "utf8")).sort((a, b) => a - b);
const session = await ort.InferenceSession.create(model, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: "all",
});
const feeds = [];
for (let at = 0; at < lengths.length; at += Number(size)) {
  const batch = lengths.slice(at, at + Number(size));
  const shape = [batch.length, batch.at(-1)];
  const ids = BigInt64Array.from({ length: shape[0] * shape[1] }, () =>
    BigInt(5 + Math.floor(Math.random() * 5000)),
  );
  feeds.push({ ids: new ort.Tensor("int64", ids, shape) });
}
for (const feed of feeds.slice(0, 5)) await session.run(feed);
const start = performance.now();
for (const feed of feeds) await session.run(feed);
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ texts: lengths.length, seconds, texts_per_s: lengths.length / seconds }));
