/**
 * Pictures as people see them: drawn into build/pictures, for light and dark pages, as pixels where rsvg-convert is installed (Debian:
 * librsvg2-bin). Look at them after a change of what is drawn.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toSvg } from "../lib/bench/report/chart/chart.ts";
import { measurePaths } from "../lib/eval/inspect/paths.ts";
import { pathsSvg } from "../lib/eval/inspect/svg.ts";
import { openModel } from "../lib/model/model.ts";
import { curvesSvg } from "../lib/train/curves.ts";
import { record } from "./bench-record.ts";
import { collisions } from "./svg.ts";

const FOLDER = join(import.meta.dir, "../build/pictures");
const renderer = Bun.which("rsvg-convert");

async function trees(...texts: string[]): Promise<string> {
  using model = await openModel();
  async function* items() {
    for (const [i, text] of texts.entries()) yield { line: i + 1, text };
  }
  return pathsSvg(await measurePaths(model, items(), { threads: 1 }), model.source);
}

/** A layer at some batches, as fast as in docs/performance.md. */
function layer(): string {
  const cases = [
    [1, 815, 266],
    [16, 115, 49],
    [1024, 117, 61],
  ] as const;
  return toSvg(
    cases.flatMap(([batch, dense, speedup]) => [
      record({
        batch,
        contender: "fff ours",
        seconds_per_token: (dense * 1e-6) / speedup,
        speedup_fastest_dense: speedup,
      }),
      record({
        batch,
        shape: "dense 4095",
        trees: 0,
        seconds_per_token: dense * 1e-6,
        speedup_fastest_dense: null,
      }),
    ]),
    { roofline: true },
  );
}

function curves(): string {
  const steps = Array.from({ length: 60 }, (_, i) => i + 1);
  return curvesSvg(
    steps.flatMap((step) => [
      { event: "step" as const, step, epoch: 1, loss: 3 / step, lr: 1, grad_norm: 1, tokens: 1, seconds: 1 },
      ...(step % 20 === 0
        ? [
            {
              event: "epoch" as const,
              epoch: step / 20,
              step,
              train_loss: 1,
              valid_loss: 4 / step,
              scores: { accuracy: step / 60 },
              seconds: 1,
            },
          ]
        : []),
    ]),
    "a run",
  );
}

/** As a dark page shows it: rsvg-convert knows no media. */
const darkened = (svg: string) =>
  svg.replace(/@media\(prefers-color-scheme:dark\)\{(.*?)\}(?=<\/style>)/s, "$1");

test.each([
  ["trees-few", () => trees("The film was good.")],
  [
    "trees-many",
    () => trees("The film was good, and the ending superb.", "I did not like the music at all."),
  ],
  ["layer", async () => layer()],
  ["curves", async () => curves()],
])("%s", async (name, draw) => {
  const svg = await draw();
  expect(collisions(svg)).toEqual([]);
  mkdirSync(FOLDER, { recursive: true });
  const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!.map(Number);
  for (const theme of ["light", "dark"]) {
    const path = join(FOLDER, `${name}-${theme}`);
    writeFileSync(`${path}.svg`, theme === "dark" ? darkened(svg) : svg);
    if (renderer === null) continue;
    const { exitCode } = Bun.spawnSync([renderer, `${path}.svg`, "-o", `${path}.png`]);
    const png = readFileSync(`${path}.png`);
    if (theme === "dark") expect(png).not.toEqual(readFileSync(join(FOLDER, `${name}-light.png`)));
    expect([exitCode, png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([0, width!, height!]);
  }
});
