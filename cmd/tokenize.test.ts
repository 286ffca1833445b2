import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const main = `${root}cmd/main.ts`;
const folder = `${root}fixtures/tokenizer-8k`;

interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number;
}

async function uffb(args: string[], stdin?: string | Uint8Array): Promise<Outcome> {
  const input = stdin === undefined ? "ignore" : Buffer.from(stdin as string);
  const child = Bun.spawn([process.execPath, main, "tokenize", ...args], {
    stdin: input,
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH, NO_COLOR: "1" },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { stdout, stderr, exitCode };
}

const tokenize = (args: string[], stdin?: string | Uint8Array) =>
  uffb(["--tokenizer", folder, ...args], stdin);

describe("output", () => {
  test("three columns when piped: number, ids, tokens", async () => {
    expect(await tokenize(["The film was [MASK] by Steven.", "b"])).toEqual({
      stdout:
        "1\t143 782 198 4 214 7988 150 87 3\tthe film was <mask> by stev ##en . <sep>\n2\t113 3\tb <sep>\n",
      stderr: "",
      exitCode: 0,
    });
  });

  test("JSON lines, with the ids of the input", async () => {
    const lines = ['{"id":"x\\ty","text":"a"}', '{"text":"a","text_pair":"b"}', '{"id":9,"ids":[112,4]}'];
    const { stdout, exitCode } = await tokenize(["--jsonl"], lines.join("\n"));
    expect(exitCode).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { id: "x\ty", ids: [112, 3], tokens: ["a", "<sep>"] },
      { id: 2, ids: [2, 112, 3, 113, 3], tokens: ["<cls>", "a", "<sep>", "b", "<sep>"] },
      { id: 9, ids: [112, 4], tokens: ["a", "<mask>"] },
    ]);
  });

  test("its own JSON lines can be read again", async () => {
    const first = await tokenize(["--jsonl"], '{"id":1,"text":"Lincoln\'s film","text_pair":""}');
    expect((await tokenize(["--jsonl"], first.stdout)).stdout).toBe(first.stdout);
  });

  test("token ids instead of text", async () => {
    const { stdout } = await tokenize(["--ids"], "112 3\n");
    expect(stdout).toBe("1\t112 3\ta <sep>\n");
  });

  test("--pair gives every text a second one; an empty one counts", async () => {
    expect((await tokenize(["--pair", "", "a"])).stdout).toBe("1\t2 112 3 3\t<cls> a <sep> <sep>\n");
    expect((await tokenize(["--pair", "b", "--tabs", "pairs"], "a\nb\tc\n")).stdout).toBe(
      "1\t2 112 3 113 3\t<cls> a <sep> b <sep>\n2\t2 113 3 114 3\t<cls> b <sep> c <sep>\n",
    );
  });

  test("--max-length cuts, and says so once", async () => {
    expect(await tokenize(["--max-length", "3", "a b c d", "a", "a b c"])).toEqual({
      stdout: "1\t112 113 3\ta b <sep>\n2\t112 3\ta <sep>\n3\t112 113 3\ta b <sep>\n",
      stderr: "warning: 2 inputs were cut to 3 tokens\n",
      exitCode: 0,
    });
  });
});

describe("--tokenizer", () => {
  const text = "The film was [MASK] by Steven.";
  const packed = `${root}fixtures/model/model-tiny.uffb.safetensors`;

  test("takes a folder, a tokenizer.json, a packed model; the built-in model is the default", async () => {
    const { stdout } = await tokenize([text]);
    for (const args of [["--tokenizer", `${folder}/tokenizer.json`], ["--tokenizer", packed], []]) {
      expect(await uffb([...args, text])).toEqual({ stdout, stderr: "", exitCode: 0 });
    }
  });

  test("that is none is named", async () => {
    for (const [path, message] of [
      [`${root}nowhere`, "no such file or folder"],
      [`${root}cmd`, "holds no tokenizer.json"],
      [`${root}package.json`, "model must be an object"],
      [`${root}LICENSE`, "LICENSE: "],
    ] as const) {
      const { stdout, stderr, exitCode } = await uffb(["--tokenizer", path, text]);
      expect([stdout, exitCode]).toEqual(["", 1]);
      expect(stderr).toStartWith(`error: ${path}`);
      expect(stderr).toContain(message);
      expect(stderr.indexOf("\n")).toBe(stderr.length - 1);
    }
  });
});

describe("input that cannot be used", () => {
  test("is named with its line, and the rest comes out; exit 1", async () => {
    const stdin = Buffer.concat([Buffer.from("a\n\nb\n"), Buffer.from([0xff, 10]), Buffer.from("c")]);
    expect(await tokenize([], stdin)).toEqual({
      stdout: "1\t112 3\ta <sep>\n2\t\t\n3\t113 3\tb <sep>\n4\t\t\n5\t114 3\tc <sep>\n",
      stderr: "error: line 2: blank line\nerror: line 4: not valid UTF-8\n",
      exitCode: 1,
    });
  });

  test("ids that the tokenizer does not have", async () => {
    expect(await tokenize(["--ids"], "1\n8192\n")).toEqual({
      stdout: "1\t1\t<unk>\n2\t\t\n",
      stderr: "error: line 2: token id 8192 is not in the vocabulary, which ends at 8191\n",
      exitCode: 1,
    });
  });

  test("no room for the special tokens", async () => {
    const { stderr, exitCode } = await tokenize(["--max-length", "2", "--pair", "b", "a"]);
    expect(stderr).toBe("error: argument 1: a maximum of 2 tokens has no room for the 3 special ones\n");
    expect(exitCode).toBe(1);
  });

  test("no text: usage", async () => {
    const { stdout, stderr, exitCode } = await tokenize([]);
    expect([stdout, exitCode]).toEqual(["", 2]);
    expect(stderr).toContain("no text");
    expect((await tokenize(["--ids", "--pair", "a", "1"])).exitCode).toBe(2);
    expect((await tokenize(["--max-length", "0", "a"])).exitCode).toBe(2);
  });
});

describe("streams", () => {
  test("the golden texts, by file and line", async () => {
    const golden = readFileSync(`${root}fixtures/tokens.jsonl`, "utf8")
      .trimEnd()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as { text: string; text_pair?: string; max_length?: number; ids: number[] },
      )
      .filter((one) => one.max_length === undefined && !(one.text + one.text_pair).includes("[MASK]"));
    const stdin = golden.map(({ text, text_pair }, id) => JSON.stringify({ id, text, text_pair })).join("\n");
    const { stdout, exitCode } = await uffb(["--tokenizer", `${folder}/tokenizer.json`, "--jsonl"], stdin);
    const ids = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).ids);
    expect(exitCode).toBe(0);
    expect(ids).toEqual(golden.map((one) => one.ids));
  });

  test("a line is answered while the stream is still open", async () => {
    const child = Bun.spawn([process.execPath, main, "tokenize", "--tokenizer", folder], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    child.stdin.write("a\n");
    child.stdin.flush();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toBe("1\t112 3\ta <sep>\n");
    child.stdin.end();
    expect(await child.exited).toBe(0);
  });

  test("| head ends it quietly", async () => {
    const shell = `yes 'a b c' | head -200000 | "$BUN" "$MAIN" tokenize --tokenizer "$FOLDER" | head -1`;
    const child = Bun.spawn(["bash", "-c", `set -o pipefail; ${shell}; echo "\${PIPESTATUS[2]}" >&2`], {
      stdout: "pipe",
      stderr: "pipe",
      env: { PATH: process.env.PATH, BUN: process.execPath, MAIN: main, FOLDER: folder },
    });
    expect(await child.stdout.text()).toBe("1\t112 113 114 3\ta b c <sep>\n");
    expect(await child.stderr.text()).toBe("0\n");
  });

  test("memory does not grow with the number of lines", async () => {
    const child = Bun.spawn([process.execPath, main, "tokenize", "--tokenizer", folder], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const resident = () => {
      const pages = readFileSync(`/proc/${child.pid}/statm`, "utf8").split(" ")[1];
      return Number(pages) * 4096;
    };
    // Every line has a word never seen before, which is the worst for whatever remembers words.
    const sizes: number[] = [];
    const feed = async () => {
      for (let line = 0; line < 400_000; line += 1000) {
        const lines = Array.from({ length: 1000 }, (_, i) => `the film number ${line + i} was [MASK]\n`);
        child.stdin.write(lines.join(""));
        await child.stdin.flush();
      }
      await child.stdin.end();
    };
    const feeding = feed();
    let answered = 0;
    // By then what remembers words is full.
    let next = 40_000;
    for await (const chunk of child.stdout) {
      for (const byte of chunk) if (byte === 10) answered++;
      if (answered < next) continue;
      sizes.push(resident());
      next += 40_000;
    }
    await feeding;
    expect(await child.exited).toBe(0);
    expect(answered).toBe(400_000);
    // Garbage comes and goes: the middle one of the first sizes, and the least of the last.
    const early = sizes.slice(0, 3).sort((a, b) => a - b)[1]!;
    const later = sizes.slice(3);
    expect(later.length).toBeGreaterThanOrEqual(6);
    expect(Math.min(...later.slice(-3))).toBeLessThan(early * 1.1);
  });
});
