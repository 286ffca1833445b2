import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadSplit } from "../../data/load.ts";
import { findTasks } from "../../data/tasks.ts";
import { bert } from "../../model/families/bert.ts";
import { crammed } from "../../model/families/crammed.ts";
import { openTokenizer } from "../../model/tokenizer.ts";
import { encodeExample, MAX_LENGTH } from "./encode.ts";

const SHARED = fileURLToPath(new URL("../../../../shared", import.meta.url));
const tokenizer = await openTokenizer(
  fileURLToPath(new URL("../../../fixtures/tokenizer-8k", import.meta.url)),
);
const spelt = (texts: string[], maxLength = MAX_LENGTH, family = crammed) =>
  Array.from(encodeExample(tokenizer, texts, maxLength, family).ids, (id) => tokenizer.token(id)).join(" ");

describe("encodeExample", () => {
  test("one text is a pair with an empty one, where the family has it so", () => {
    expect(spelt(["the film"])).toBe("<cls> the film <sep> <sep>");
    expect(spelt(["the film"], MAX_LENGTH, bert)).toBe("the film <sep>");
  });

  test("of more than two, all but the last are joined by the separator token", () => {
    expect(spelt(["the film", "was good"])).toBe("<cls> the film <sep> was good <sep>");
    expect(spelt(["cause", "the film", "was", "good"])).toBe(
      "<cls> cause <sep> the film <sep> was <sep> good <sep>",
    );
  });

  test("the longer text is cut first", () => {
    expect(spelt(["the film was good", "now"], 7)).toBe("<cls> the film was <sep> now <sep>");
  });
});

describe.skipIf(!existsSync(SHARED))("the published examples", () => {
  test.each(["sst2", "mrpc", "stsb"])("%s has the tokens of the reference", async (name) => {
    const lines = (await Bun.file(`${SHARED}/model-tiny-${name}/expected-dev.jsonl`).text())
      .trim()
      .split("\n");
    const expected = lines.map(
      (line) => JSON.parse(line) as { index: number; label: number; tokens: number },
    );
    const { examples } = await loadSplit(findTasks([name])[0]!, "dev", { data: `${SHARED}/data/glue` });
    const ours = examples.map(({ index, label, texts }) => ({
      index,
      label: label!,
      tokens: encodeExample(tokenizer, texts, MAX_LENGTH, crammed).ids.length,
    }));
    expect(ours).toEqual(expected.map(({ index, label, tokens }) => ({ index, label, tokens })));
  });
});
