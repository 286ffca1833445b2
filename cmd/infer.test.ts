import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeClassifier } from "../testing/classifier.ts";
import { TemporaryFolder } from "../testing/folders.ts";
import { assembled } from "../testing/heads.ts";
import { writeSentenceModel } from "../testing/sentence.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const main = `${root}cmd/main.ts`;
const reference = (name: string) => `${root}fixtures/reference/${name}`;

function spawn(args: string[], stdin: "pipe" | "ignore" | Blob) {
  return Bun.spawn([process.execPath, main, "infer", ...args], {
    stdin,
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH, NO_COLOR: "1" },
  });
}

async function infer(args: string[], stdin?: string | Uint8Array) {
  const child = spawn(args, stdin === undefined ? "ignore" : new Blob([stdin as string]));
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, exitCode: await child.exited };
}

const FILM = "The film was [MASK] by Steven Spielberg.";
const column = (text: string, number: number) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t")[number - 1]!);

describe("labels", () => {
  test("entities have a row each, with their places in the text", async () => {
    using folder = assembled("labels/tokens-bert");
    const args = ["--model", folder.path, "Anna lives"];
    const { stdout, exitCode } = await infer([...args, "--format", "csv"]);
    expect([stdout.split("\n")[0], exitCode]).toEqual(["id,start,end,label,p,word", 0]);
    expect(stdout).toMatch(/^1,0,4,PER,0\.\d+,Anna\n1,5,10,LOC,0\.\d+,lives\n$/m);
    const none = await infer([...args, "--jsonl", "--aggregate", "none"]);
    expect(JSON.parse(none.stdout).entities[0]).toMatchObject({ label: "B-PER", word: "Anna", index: 1 });
    const human = await infer([...args, "--format", "text"]);
    expect(human.stdout).toMatch(/^Anna lives\n {2}PER +\d+\.\d% Anna\n/);
  });

  test("--threshold chooses among several labels", async () => {
    using folder = assembled("labels/three", "labels/multi-label");
    const labels = async (p: string) =>
      column((await infer(["--model", folder.path, "hello world", "--threshold", p])).stdout, 2)[0]!;
    expect((await labels("0")).split(";").sort()).toEqual(["insult", "threat", "toxic"]);
    expect(await labels("1")).toBe("");
  });

  test("a cross-encoder's score has its output beside it", async () => {
    using folder = assembled("labels/one", "labels/cross");
    const { stdout } = await infer(["--model", folder.path, "hello", "--pair", "world", "--jsonl"]);
    const { score, logit } = JSON.parse(stdout);
    expect(score).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6);
  });

  test.each([
    [["--threshold", "0.3"], "--threshold is for models whose texts can have several labels"],
    [["--aggregate", "max"], "--aggregate is for models that give each token a label"],
  ])("%j is refused elsewhere", async (flags, message) => {
    const { stderr, exitCode } = await infer([...flags, "a [MASK]"]);
    expect([stderr, exitCode]).toEqual([expect.stringContaining(message), 2]);
  });
});

describe("vectors of a model of sentence-transformers", () => {
  const LINES = "hello world\nthe cat sat on the mat\ngood film\n";

  test("a search puts the model's prompts before both sides, or those that are given", async () => {
    using folder = assembled("base", "vectors/prompts");
    const search = async (...flags: string[]) =>
      (await infer(["--model", folder.path, "--similar", "hello world", ...flags], LINES)).stdout;
    const own = await search();
    expect(await search("--prompt", "document", "--query-prompt", "query : ")).toBe(own);
    expect(await search("--prompt", "plain")).not.toBe(own);
    expect(await search("--query-prompt", "")).not.toBe(own);
    const distances = column(await search("--similarity", "euclidean"), 3).map(Number);
    expect(distances).toEqual(distances.toSorted((a, b) => b - a));
    expect(distances.every((distance) => distance < 0)).toBe(true);
    const json = JSON.parse(await search("--similarity", "dot", "--json"));
    expect(json[0].closest[0].dot).toBeGreaterThan(1);
    const missing = await infer(["--model", folder.path, "--embed", "--prompt", "qurey"], LINES);
    expect([missing.stdout, missing.exitCode]).toEqual(["", 2]);
    expect(missing.stderr).toContain("the model has no prompt qurey; it has document, plain, query");
  });

  test("an array is as wide as the last module's vectors", async () => {
    using folder = assembled("base", "vectors/dense-tanh");
    const { stdout, stderr } = await infer(["--model", folder.path, "--embed", "--format", "npy"], LINES);
    expect(stdout).toContain("'shape': (3, 8)");
    expect(stderr).not.toContain("does not say how");
  });

  test.each([
    [["--similarity", "dot", "--embed"], "--similarity is for --similar"],
    [["--query-prompt", "a: ", "--embed"], "--query-prompt is for --similar"],
    [["--prompt", "a: "], "--prompt is for vectors and classifiers"],
  ])("%j is refused", async (flags, message) => {
    const { stderr, exitCode } = await infer([...flags, "a [MASK]"]);
    expect([stderr, exitCode]).toEqual([expect.stringContaining(message), 2]);
  });
});

describe("output", () => {
  test("six columns for masks when piped", async () => {
    const { stdout, stderr, exitCode } = await infer([FILM, "--top-k", "2"]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    const rows = stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
    const filled = "The film was directed by Steven Spielberg.";
    expect(rows).toEqual([
      ["1", "1", "1", "directed", expect.stringMatching(/^0\.19\d*$/), filled],
      ["1", "1", "2", "created", expect.stringMatching(/^0\.08\d*$/), filled],
    ]);
  });

  test("--json is one array, --jsonl an object a line with the input's id", async () => {
    const json = await infer(["--json", FILM, "a [MASK]"]);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { line: 1, text: FILM, tokens: 13, filled: "The film was directed by Steven Spielberg." },
      { line: 2, text: "a [MASK]" },
    ]);
    const lines = await infer(
      ["--jsonl"],
      `{"id":"x","text":${JSON.stringify(FILM)}}\n{"ids":[112,4,3],"id":7}\n`,
    );
    const [first, second] = lines.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(first).toMatchObject({ line: 1, id: "x", masks: [{ position: 3 }] });
    expect(first.masks[0].top).toHaveLength(5);
    expect(second).toMatchObject({ line: 2, id: 7, tokens: 3 });
  });

  test("what tokenize --jsonl writes, infer reads", async () => {
    const tokens = Bun.spawnSync([process.execPath, main, "tokenize", "--jsonl", FILM]).stdout.toString();
    const { masks } = JSON.parse((await infer(["--jsonl"], tokens)).stdout);
    expect(masks).toEqual(JSON.parse((await infer(["--jsonl", FILM])).stdout).masks);
  });

  test("a classifier's and a regression's, from token ids alone", async () => {
    const classes = await infer(["--model", reference("cls-2"), "--ids"], "5 6 7\n8,9\n");
    expect(classes.stdout).toMatch(
      /^1\tLABEL_[01]\t0\.\d+\t0\.\d+\t0\.\d+\n2\tLABEL_[01]\t0\.\d+\t0\.\d+\t0\.\d+\n$/,
    );
    const score = await infer(["--model", reference("cls-reg"), "--ids", "5 6 7"]);
    expect(score.stdout).toMatch(/^1\t-?\d+\.\d+\n$/);
  });

  test("--embed: the vector, of the built-in sentence model; --pooling chooses", async () => {
    const mean = await infer(["--embed", "a b"]);
    const [id, ...vector] = mean.stdout.trimEnd().split("\t").map(Number);
    expect([id, vector.length]).toEqual([1, 384]);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
    expect(mean.stderr).not.toContain("does not say how to make vectors");
    expect((await infer(["--embed", "a b", "--pooling", "mean"])).stdout).toBe(mean.stdout);
    expect((await infer(["--embed", "a b", "--pooling", "max"])).stdout).not.toBe(mean.stdout);
  });

  test("--embed with a model named: that, whatever it is for", async () => {
    const named = ["--embed", "a b", "--model", `${root}fixtures/model/model-tiny.uffb.safetensors`];
    const { stdout, stderr } = await infer(named);
    expect(stdout.trimEnd().split("\t")).toHaveLength(257);
    expect(stderr).toMatch(/^the model does not say how to make vectors: /);
  });

  test("--format: lines, rows, or an array with a row for each input", async () => {
    const texts = 'a "b", c\n\nd\n';
    const csv = await infer(["--embed", "--format", "csv"], texts);
    const [header, ...rows] = csv.stdout.trimEnd().split("\n");
    expect(header).toStartWith("id,0,1,2,");
    expect(rows.map((row) => row.split(",").length)).toEqual([385, 385, 385]);
    expect(rows[1]).toBe(`2${",".repeat(384)}`);
    expect(csv.exitCode).toBe(1);
    expect(csv.stderr).toMatch(/^error: line 2: blank line\n2 texts, \d+(\.\d)? texts\/s\n$/);
    const jsonl = await infer(["--embed", "--format", "jsonl"], texts);
    const lines = jsonl.stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).error)).toEqual([undefined, "blank line", undefined]);
    const npy = await infer(["--embed", "--format", "npy", "--dtype", "f16"], texts);
    expect(npy.stdout).toContain("'descr': '<f2', 'fortran_order': False, 'shape': (3, 384)");
  });

  test("--similar: the nearest lines, best first", async () => {
    const lines = "The cat sat on the mat.\nStocks fell sharply.\nA cat is on a mat.\n";
    const { stdout, exitCode } = await infer(["--similar", "The cat sat on the mat.", "--top-k", "2"], lines);
    expect([exitCode, column(stdout, 4)]).toEqual([0, ["1", "3"]]);
    expect(column(stdout, 3)[0]).toBe("1.000000");
    const json = await infer(["--similar", "The cat sat on the mat.", "--json"], lines);
    const [{ query, closest }] = JSON.parse(json.stdout);
    expect([query, closest.map(({ line }: { line: number }) => line)]).toEqual([
      "The cat sat on the mat.",
      [1, 3, 2],
    ]);
  });

  test("a model without a head embeds", async () => {
    using folder = new TemporaryFolder();
    const path = writeSentenceModel(folder);
    const { stdout, stderr, exitCode } = await infer(["--model", path, `a film ${"word ".repeat(30)}`]);
    expect([exitCode, stdout.split("\t").length]).toEqual([0, 33]);
    expect(stderr).toBe("warning: 1 input was cut to the model's 12 tokens\n");
  });

  test("pairs: --pair, or a tab where it is said to separate them", async () => {
    const flag = await infer(["a [MASK]", "--pair", "b [MASK]", "--top-k", "1"]);
    const tab = await infer(["--top-k", "1", "--tabs", "pairs"], "a [MASK]\tb [MASK]\n");
    expect(flag.stdout).toBe(tab.stdout);
    expect(column(flag.stdout, 2)).toEqual(["1", "2"]);
  });
});

describe("what is said", () => {
  test("--quiet leaves only errors; --color forces colours, or forbids them", async () => {
    const long = `[MASK] ${"word ".repeat(200)}`;
    expect((await infer([long])).stderr).toContain("warning: 1 input was cut");
    expect((await infer(["--quiet", long])).stderr).toBe("");
    expect((await infer(["-q", ""])).stderr).toBe("error: argument 1: blank text\n");
    const text = ["--format", "text", FILM];
    expect((await infer([...text, "--color", "always"])).stdout).toContain("\u001b[1m");
    expect((await infer(text)).stdout).not.toContain("\u001b");
    expect((await infer(["--color", "sometimes", "a"])).stderr).toContain(
      "--color is one of auto, always, never",
    );
  });

  test("ten inputs with the same fault are enough", async () => {
    const none = await infer([], "no mask\n".repeat(1000));
    expect(none.exitCode).toBe(2);
    expect(none.stderr.trimEnd().split("\n")).toHaveLength(11);
    expect(none.stderr).toEndWith(
      "error: line 10: none of the inputs so far can be used; write [MASK] where a word is missing, or use --embed for a sentence vector\n",
    );
    const plain = await infer(["--embed", "--input-format", "jsonl"], "a text\n".repeat(1000));
    expect(plain.stderr).toContain("for plain lines say --input-format lines");
    const late = await infer([], `a [MASK]\n${"no mask\n".repeat(20)}`);
    expect([late.exitCode, late.stderr.trimEnd().split("\n").length]).toEqual([1, 11]);
    expect(late.stderr).toEndWith("error: 20 inputs could not be used; the first 10 are named above\n");
  });
});

describe("the number of texts", () => {
  test("is the model's, unless it is forced", async () => {
    using folder = new TemporaryFolder();
    const model = folder.file("pairs");
    writeClassifier(model);
    const config = JSON.parse(readFileSync(`${model}/config.json`, "utf8"));
    writeFileSync(`${model}/config.json`, JSON.stringify({ ...config, texts_per_input: 2 }));
    const one = await infer(["--model", model, "a text"]);
    expect([one.exitCode, one.stderr]).toEqual([
      1,
      "error: argument 1: one text, and the model compares two; give the second with --pair, --pair-column or behind a tab, or add --force\n",
    ]);
    expect((await infer(["--model", model, "a text", "--force"])).exitCode).toBe(0);
    const tab = await infer(["--model", model], "a\tb\n");
    expect([tab.exitCode, tab.stdout]).toEqual([
      0,
      (await infer(["--model", model, "a", "--pair", "b"])).stdout,
    ]);
    writeFileSync(`${model}/config.json`, JSON.stringify({ ...config, finetuning_task: "sst2" }));
    expect((await infer(["--model", model, "a", "--pair", "b"])).stderr).toContain(
      "two texts, and the model takes one",
    );
    expect((await infer(["--model", model], "a\tb\n")).exitCode).toBe(0);
    writeFileSync(`${model}/config.json`, JSON.stringify({ ...config, finetuning_task: undefined }));
    expect((await infer(["--model", model], "a\tb\n")).stderr).toContain("has a tab; say --tabs pairs where");
  });
});

describe("bad inputs", () => {
  test("have their number on stderr and an empty row; exit 1", async () => {
    const lines = ["one [MASK]", "", "none", "\xff", "two [MASK]"].map((line) => Buffer.from(line, "latin1"));
    const input = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
    const { stdout, stderr, exitCode } = await infer(["--top-k", "1"], input);
    expect(exitCode).toBe(1);
    expect(column(stdout, 1)).toEqual(["1", "2", "3", "4", "5"]);
    expect(stdout.split("\n")[1]).toBe("2\t\t\t\t\t");
    expect(stderr.trimEnd().split("\n")).toEqual([
      "error: line 2: blank line",
      "error: line 3: no mask to fill; write [MASK] where a word is missing, or use --embed for a sentence vector",
      "error: line 4: not valid UTF-8",
    ]);
    const skipped = await infer(["--top-k", "1", "--skip-bad"], input);
    expect([skipped.exitCode, column(skipped.stdout, 1)]).toEqual([0, ["1", "5"]]);
    expect(skipped.stderr).toContain("warning: left out line 2: blank line\n");
  });

  test("bad JSON leaves an array whole", async () => {
    const { stdout, stderr, exitCode } = await infer(
      ["--format", "jsonl"],
      '{"text":"a [MASK]"}\n{oops\n{"text":"b [MASK]"}\n',
    );
    expect(exitCode).toBe(1);
    const lines = stdout.trimEnd().split("\n");
    expect(JSON.parse(lines[1]!)).toEqual({ line: 2, error: "not valid JSON" });
    expect(lines).toHaveLength(3);
    const short = await infer(["--jsonl"], '{"text":"a [MASK]"}\n{oops\n{"text":"b [MASK]"}\n');
    expect(short).toEqual({ stdout: `${lines[0]}\n${lines[2]}\n`, stderr, exitCode });
    expect(stderr).toBe("error: line 2: not valid JSON\n");
    const only = await infer(["--json", "no mask"]);
    expect([JSON.parse(only.stdout), only.exitCode]).toEqual([
      [{ line: 1, error: expect.stringContaining("no mask") }],
      1,
    ]);
    expect(only.stderr).toStartWith("error: argument 1: no mask to fill");
  });

  test("too long: cut and counted once, or an error", async () => {
    const long = `[MASK] ${"word ".repeat(200)}`;
    const cut = await infer(["--top-k", "1", long, "a [MASK]", long]);
    expect([cut.exitCode, cut.stderr]).toEqual([0, "warning: 2 inputs were cut to the model's 128 tokens\n"]);
    const refused = await infer(["--top-k", "1", "--no-truncate", long, FILM]);
    expect([refused.exitCode, column(refused.stdout, 4)]).toEqual([1, ["", "directed"]]);
    expect(refused.stderr).toBe(
      "error: argument 1: 202 tokens, and the model takes 128; shorten it or drop --no-truncate\n",
    );
  });

  test.each([
    [["--model", "nowhere", "a"], 1, "nowhere: no such file or folder"],
    [["--model", reference("cls-2"), "a"], 1, "has no tokenizer.json, which reading text needs"],
    [["--model", reference("fff-1x5"), "--ids", "1 2"], 1, "give --mask-id, or use --embed"],
    [["--json", "--jsonl", "a [MASK]"], 2, "--json and --jsonl exclude each other"],
    [["--pooling", "max", "a [MASK]"], 2, "--pooling is for --embed"],
    [["--embed", "--top-k", "3", "a"], 2, "--top-k is for masks"],
    [["--format", "npy", "a [MASK]"], 2, "--format npy is for --embed"],
    [["--jsonl", "--header", "a [MASK]"], 2, "--header is for tsv and csv"],
    [["--input", "x.csv", "a [MASK]"], 2, "--input cannot stand beside texts"],
    [
      ["--embed", "nowhere.txt"],
      2,
      "nowhere.txt reads like the name of a file, and there is none; to read it",
    ],
    [["--embed", `${root}README.md`], 2, "README.md is a file; to read it, say --input"],
    [["--similar", "querys.txt", "a"], 2, "querys.txt reads like the name of a file, and there is none"],
    [["--input", "nowhere.csv"], 1, "nowhere.csv: no such file"],
    [["--embed", "--dtype", "f16", "a"], 2, "--dtype is for --format npy and safetensors"],
    [["--embed", "--format", "csv", "--json", "a"], 2, "--format and --json exclude each other"],
    [["--similar", "a", "--format", "npy", "b"], 2, "--format npy is for vectors"],
    [["--top-k", "0", "a [MASK]"], 2, "--top-k is a whole number from 1"],
    [["--topk", "1", "a [MASK]"], 2, "did you mean --top-k?"],
    [["--device", "gpu", "a [MASK]"], 2, "--device is cpu, cuda or a numbered one such as cuda:1"],
    [["--device-dtype", "f16", "a [MASK]"], 2, "--device-dtype is for --device cuda"],
    [["--ids", "--pair", "b", "1"], 2, "--ids takes no second text"],
  ])("%p", async (line, code, message) => {
    const { stdout, stderr, exitCode } = await infer(line);
    expect([stdout, exitCode]).toEqual(["", code]);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});

describe("streams", () => {
  test("50,000 lines: in order, in the memory that it had after 10,000", async () => {
    const child = spawn(["--model", reference("cls-2"), "--ids", "--threads", "1"], "pipe");
    const resident = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]);
    const stdin = child.stdin as Bun.FileSink;
    const answers = child.stdout.getReader();
    const decoder = new TextDecoder();
    const numbers: string[] = [];
    let rest = "";
    /** Sends lines up to number `count`, 500 at a time, each when those before it have their answers. */
    const answered = async (count: number) => {
      for (let sent = numbers.length; sent < count; ) {
        let lines = "";
        for (const end = sent + 500; sent < end; sent++) lines += `${sent % 512} ${"7 ".repeat(sent % 9)}\n`;
        stdin.write(lines);
        stdin.flush();
        while (numbers.length < sent) {
          rest += decoder.decode((await answers.read()).value);
          const whole = rest.lastIndexOf("\n") + 1;
          if (whole > 0) numbers.push(...column(rest.slice(0, whole), 1));
          rest = rest.slice(whole);
        }
      }
      return resident();
    };
    const early = await answered(10_000);
    const late: number[] = [];
    for (const count of [48_000, 49_000, 50_000]) late.push(await answered(count));
    stdin.end();
    expect(await child.exited).toBe(0);
    expect(numbers).toEqual(Array.from({ length: 50_000 }, (_, i) => String(i + 1)));
    expect(Math.min(...late) / early).toBeLessThan(1.1); // the least, as garbage comes and goes
  }, 30_000);

  test("a line is answered before the next one is there", async () => {
    const child = spawn(["--top-k", "1"], "pipe");
    const stdin = child.stdin as Bun.FileSink;
    const answers = child.stdout.getReader();
    for (let line = 1; line <= 3; line++) {
      stdin.write(`line ${line} [MASK]\n`);
      stdin.flush();
      const { value } = await answers.read();
      expect(new TextDecoder().decode(value)).toStartWith(`${line}\t1\t1\t`);
    }
    stdin.end();
    expect(await child.exited).toBe(0);
  });

  test("end quietly when the reader has gone", async () => {
    const child = spawn([], new Blob([`${FILM}\n`.repeat(3000)]));
    const reader = child.stdout.getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    expect(await child.exited).toBe(0);
    expect(await child.stderr.text()).toBe("");
  });

  test("exit with 130 when interrupted, also while the engine runs", async () => {
    const child = spawn(["--top-k", "1"], new Blob([`${"word ".repeat(100)}[MASK]\n`.repeat(20_000)]));
    await child.stdout.getReader().read();
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(await child.stderr.text()).toBe("");
  });
});

test("--help documents columns and fields", async () => {
  const { stdout, exitCode } = await infer(["--help"]);
  expect(exitCode).toBe(0);
  for (const part of ["COLUMNS", "FIELDS", "masks: [{position, top: [{token, id, p}]}]", "--no-truncate"]) {
    expect(stdout).toContain(part);
  }
});
