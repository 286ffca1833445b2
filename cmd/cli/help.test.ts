import { describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { COMMANDS } from "../main.ts";
import { grouped } from "./args.ts";
import { helpText, shellLines } from "./help.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

function uffb(line: string[], columns: number): string {
  const env = { ...process.env, COLUMNS: String(columns) };
  return Bun.spawnSync([process.execPath, MAIN, ...line], { env }).stdout.toString();
}

/** All words, whatever their order: a comment of a line that is too wide goes before it. */
const words = (text: string) =>
  text
    .split(/\s+/)
    .filter((word) => !["", "\\", "#"].includes(word))
    .sort();

const PAGES = [["--help"], ["bench", "--fields"], ...Object.keys(COMMANDS).map((name) => [name, "--help"])];

test.each(PAGES)("uffb %s %s is as wide as the terminal at most, and no word is broken", (...line) => {
  const wide = uffb(line, 140);
  expect(wide).not.toBe("");
  for (const columns of [72, 80]) {
    const text = uffb(line, columns);
    expect(text.split("\n").filter((row) => Bun.stringWidth(row) > columns)).toEqual([]);
    expect(words(text)).toEqual(words(wide));
  }
  expect(wide.split("\n").filter((row) => Bun.stringWidth(row) > 140)).toEqual([]);
});

describe("help", () => {
  const text = Bun.stripANSI(
    helpText(
      {
        program: "uffb try",
        description: "Tries things",
        positionals: [
          { name: "in", description: "What to read", required: true },
          { name: "more", description: "More of it", multiple: true },
        ],
        args: {
          must: { type: "string", valueHint: "x", required: true, description: "Needed" },
          ...grouped("NUMBERS", {
            count: { type: "number", description: "How many", default: 3, alias: "c" },
            kind: { type: "enum", options: ["a", "b"], description: "Which", multiple: true },
          }),
          ...grouped("SWITCHES", {
            cut: { type: "boolean", default: true, description: "Cut", negativeDescription: "Do not cut" },
          }),
        },
        examples: ["uffb try a", "uffb try b", "uffb try c"],
        sections: { NOTES: ["One.", ["term", "what it means"]] },
        exitCodes: { 0: "success" },
      },
      60,
    ),
  );

  test("has examples first, flags in groups, and every part", () => {
    expect(text).toBe(`Tries things

USAGE
  uffb try --must <x> [OPTIONS] IN [MORE...]

EXAMPLES
  uffb try a
  uffb try b

ARGUMENTS
  IN               What to read
  MORE...          More of it

OPTIONS
  --must <x>       Needed

NUMBERS
  -c, --count <n>  How many; default: 3
  --kind <a|b>     Which (may be repeated)

SWITCHES
  --cut            Cut; default: yes
  --no-cut         Do not cut

MORE EXAMPLES
  uffb try c

NOTES
  One.
  term  what it means

EXIT CODES
    0  success
`);
  });
});

describe("a command line that is too wide", () => {
  test("goes on after a backslash, not within quotes, and its comment goes before it", () => {
    expect(shellLines(`uffb infer "one two three" --flag # why`, 30)).toEqual([
      "# why",
      `uffb infer "one two three" \\`,
      "    --flag",
    ]);
  });

  test("means the same to a shell", () => {
    const word = fc.oneof(
      fc.stringMatching(/^[a-z-]{1,12}$/),
      fc.stringMatching(/^'[a-z ]{1,12}'$/),
      fc.stringMatching(/^"[a-z ]{1,12}"$/),
    );
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 20, max: 60 }),
        (list, columns) => {
          const run = (line: string) =>
            Bun.spawnSync(["sh", "-c", `printf '%s\\n' ${line}`]).stdout.toString();
          const lines = shellLines(list.join(" "), columns);
          expect(run(lines.join("\n"))).toBe(run(list.join(" ")));
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
        },
      ),
      { numRuns: 40 },
    );
  });
});
