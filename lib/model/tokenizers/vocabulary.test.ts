import { describe, expect, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { pack, REFERENCE_BERT, TemporaryFolder } from "../../../testing/folders.ts";
import { UffbError } from "../../base/errors.ts";
import { convertModel } from "../../convert/convert.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { openTokenizer } from "../tokenizer.ts";

const FOLDERS = fileURLToPath(new URL("../../../fixtures/vocabularies/", import.meta.url));

interface Golden {
  text: string;
  text_pair?: string;
  ids: number[];
  types: number[];
}

async function expectGolden(path: string, name: string) {
  const tokenizer = await openTokenizer(path);
  const rows = readFileSync(join(FOLDERS, name, "golden.jsonl"), "utf8")
    .trimEnd()
    .split("\n");
  expect(rows.length).toBeGreaterThan(10);
  for (const row of rows) {
    const { text, text_pair: pair, ids, types } = JSON.parse(row) as Golden;
    const own = tokenizer.encode(text, { literal: true, ...(pair !== undefined && { pair }) });
    expect([text, [...own.ids]]).toEqual([text, ids]);
    expect([text, [...own.types]]).toEqual([text, types]);
  }
}

describe.each(readdirSync(FOLDERS))("%s", (name) => {
  test("has the ids and types of transformers", () => expectGolden(join(FOLDERS, name), name));
});

test("a packed file, and a folder made of it, hold the tokenizer", async () => {
  using folder = new TemporaryFolder();
  cpSync(join(REFERENCE_BERT, "bert-mlm"), folder.file("model"), { recursive: true });
  for (const file of ["vocab.txt", "tokenizer_config.json"])
    cpSync(join(FOLDERS, "bert-cased", file), folder.file(`model/${file}`));
  await pack(folder.file("model"), folder.file("packed"));
  await expectGolden(folder.file("packed"), "bert-cased");
  await convertModel(openCheckpoint(folder.file("packed")), folder.file("hf"), { to: "hf", dtype: "F32" });
  await expectGolden(folder.file("hf"), "bert-cased");
});

/** What opening says of a good folder after a change. */
async function messageOf(name: string, change: (file: (name: string) => string) => void): Promise<string> {
  using folder = new TemporaryFolder();
  cpSync(join(FOLDERS, name), folder.path, { recursive: true });
  change((file) => folder.file(file));
  try {
    (await openTokenizer(folder.path)).encode("a text");
  } catch (error) {
    if (!(error instanceof UffbError)) throw error;
    return error.message;
  }
  return "";
}

describe("says what is wrong in one line", () => {
  const settings = (value: object) => (file: (name: string) => string) =>
    writeFileSync(file("tokenizer_config.json"), JSON.stringify(value));
  test.each<[string, string, (file: (name: string) => string) => void, string]>([
    ["no merges", "roberta", (file) => rmSync(file("merges.txt")), "holds no tokenizer.json"],
    [
      "no merge",
      "roberta",
      (file) => writeFileSync(file("merges.txt"), "a b\na\n"),
      "merges.txt: merge 2 is not two",
    ],
    [
      "no vocabulary",
      "roberta",
      (file) => writeFileSync(file("vocab.json"), "[]"),
      "the file must be an object",
    ],
    [
      "no unknown token",
      "bert",
      (file) => writeFileSync(file("vocab.txt"), "[CLS]\n[SEP]\n"),
      '"[UNK]" is not in the',
    ],
    [
      "another class",
      "bert",
      settings({ tokenizer_class: "BertJapaneseTokenizer" }),
      '"BertJapaneseTokenizer" is not supported',
    ],
    [
      "another model",
      "bert",
      (file) => writeFileSync(file("config.json"), '{"model_type":"xlnet"}'),
      'is "xlnet", which',
    ],
    [
      "no class",
      "bert",
      (file) => rmSync(file("config.json")),
      'is "not named", which needs a tokenizer.json',
    ],
    ["a flag that is none", "bert", settings({ do_lower_case: "no" }), "do_lower_case must be true or false"],
    ["a token that is none", "bert", settings({ cls_token: 5 }), "cls_token must be a token's spelling"],
  ])("%s", async (_, name, change, message) => {
    const found = await messageOf(name, change);
    expect(found).toContain(message);
    expect(found).not.toContain("\n");
  });

  test("whatever the files hold", async () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("[UNK]", "[CLS]", "__proto__", "a b", "##a", "#version"),
    );
    const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n"));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("vocab.txt", "merges.txt", "vocab.json"),
        text,
        async (name, content) => {
          const folder = name === "vocab.txt" ? "bert" : "roberta";
          expect(await messageOf(folder, (file) => writeFileSync(file(name), content))).not.toContain("\n");
        },
      ),
      { numRuns: 100 },
    );
  });
});
