/** A teacher's first hour: what does this model do with a sentence, and how does that look? On a terminal of 80 x 24. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TemporaryFolder } from "../folders.ts";
import { collisions } from "../svg.ts";
import { onTerminal, tooWide } from "../terminal.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const uffb = `'${process.execPath}' '${root}cmd/main.ts'`;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

const JOURNEY: readonly [command: string, shown: RegExp][] = [
  [
    'uffb infer "The film was [MASK] by Steven Spielberg."',
    /The film was directed by Steven Spielberg\.\n +directed +19/,
  ],
  ['uffb tokenize "The film was good."', /5 tokens|6 tokens/],
  ["uffb inspect", /1 tree of depth 8 with 256 leaves; a token uses 9 of 511 neurons/],
  ["uffb inspect --help", /EXAMPLES\n +uffb inspect --text "The film was \[MASK\]\." --svg trees\.svg\n/],
  [
    'uffb inspect --text "The film was good." --svg few.svg',
    /The leaf that each token reaches, of 0 at the left to 255:\ntoken \\ layer .*\nthe +\d/,
  ],
  [
    'uffb inspect --text "The film was good." --text "I did not like the other one at all." --svg many.svg',
    /How 1\d|2\d tokens of 2 texts/,
  ],
  ['uffb inspect --json --text "The film was good." > paths.json', /^\s*(1 text, \d+ texts\/s\s*)?$/],
];

test.each(JOURNEY)("%s", async (line, expected) => {
  const { shown, exitCode } = await onTerminal(line.replace("uffb ", `${uffb} `), { cwd: folder.path });
  expect([exitCode, Bun.stripANSI(shown)]).toEqual([0, expect.stringMatching(expected)]);
  expect(tooWide(shown)).toEqual([]);
});

test("the pictures are legible, and say what they show", () => {
  for (const [name, meaning] of [
    ["few.svg", ">a token<"],
    ["many.svg", ">taken by 100% of tokens<"],
  ] as const) {
    const svg = readFileSync(folder.file(name), "utf8");
    expect(collisions(svg)).toEqual([]);
    for (const part of [meaning, ">Layer 3<", ">root<", ">leaves<", "The film was good.", "goes left where"])
      expect(svg).toContain(part);
  }
});

test("the same numbers are there for programs", () => {
  const { paths } = JSON.parse(readFileSync(folder.file("paths.json"), "utf8"));
  expect(paths.walks[0]).toMatchObject({ line: 1, token: "the" });
  expect(paths.walks[0].leaves).toHaveLength(4);
});
