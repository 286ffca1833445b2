import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { version } from "../package.json";
import { COMMANDS } from "./main.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function uffb(
  line: string[],
  { env = {}, input = "" }: { env?: Record<string, string>; input?: string } = {},
) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, MAIN, ...line], {
    env: { ...process.env, UFFB_DEBUG: "", ...env },
    stdin: Buffer.from(input),
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe("uffb", () => {
  test("alone shows the usage on stderr and fails", () => {
    const { exitCode, stdout, stderr } = uffb([]);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toStartWith(`uffb ${version}`);
    expect(stderr).toContain("USAGE");
  });

  test("--help shows commands, examples and exit codes on stdout", () => {
    for (const flag of ["--help", "-h"]) {
      const { exitCode, stdout, stderr } = uffb([flag]);
      expect([exitCode, stderr]).toEqual([0, ""]);
      for (const part of ["EXAMPLES", "EXIT CODES", "130", ...Object.keys(COMMANDS)]) {
        expect(stdout).toContain(part);
      }
    }
  });

  test("--version", () => {
    expect(uffb(["--version"])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: "" });
  });

  test.each([[["--version", "--verbose"]], [["--verbose", "--version"]]])("%p is for reports", (line) => {
    const { exitCode, stdout, stderr } = uffb(line);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^uffb +\d+\.\d+\.\d+, .*\nengine +.*generic; .*\nsystem +linux .* Bun /);
  });

  test("unknown commands and flags name the closest match", () => {
    expect(uffb(["tokenise"])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "error: unknown command tokenise; did you mean tokenize?\n",
    });
    expect(uffb(["--versoin"]).stderr).toBe("error: unknown flag --versoin; did you mean --version?\n");
    expect(uffb(["embed", "a"]).stderr).toBe(
      "error: unknown command embed; did you mean uffb infer --embed?\n",
    );
    expect(uffb(["classify"]).stderr).toContain("did you mean uffb infer --model CLASSIFIER?");
    expect(uffb(["-v"]).stderr).toBe("error: unknown flag -v; did you mean --version?\n");
    for (const word of ["constructor", "__proto__", "", "\u001b[2J"]) {
      const { exitCode, stderr } = uffb([word]);
      expect(exitCode).toBe(2);
      expect(stderr).toStartWith("error: unknown command");
      expect(stderr).not.toContain("\u001b");
    }
  });

  test("help is help, also of a command", () => {
    expect(uffb(["help"]).stdout).toBe(uffb(["--help"]).stdout);
    expect(uffb(["help", "verify"]).stdout).toBe(uffb(["verify", "--help"]).stdout);
  });

  test("--verbose or UFFB_DEBUG=1 adds the stack, and only they", () => {
    expect(uffb(["nothing"]).stderr.trim().split("\n")).toHaveLength(1);
    expect(uffb(["nothing", "--", "--verbose"]).stderr.trim().split("\n")).toHaveLength(1);
    for (const { stderr } of [
      uffb(["--verbose", "nothing"]),
      uffb(["nothing"], { env: { UFFB_DEBUG: "1" } }),
    ]) {
      expect(stderr.trim().split("\n").length).toBeGreaterThan(1);
      expect(stderr).toContain("main.ts");
    }
  });

  test("writes no colours into pipes", () => {
    for (const env of [{}, { TERM: "xterm-256color", CI: "", NO_COLOR: "" }]) {
      const { stdout } = uffb(["tokenize", "--help"], { env });
      expect(stdout).toContain("EXIT CODES");
      expect(stdout).not.toContain("\u001b");
    }
  });

  test("every file of a command is an entry", () => {
    const files = readdirSync(new URL(".", import.meta.url)).filter((file) => /^[^.]+\.ts$/.test(file));
    const others = ["build.ts", "main.ts"];
    expect(files.filter((file) => !others.includes(file)).sort()).toEqual(
      Object.keys(COMMANDS)
        .map((name) => `${name}.ts`)
        .sort(),
    );
  });

  test("the README's list has every command", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const listed = readme.slice(readme.indexOf("## What it does")).matchAll(/^ {4}uffb (\w+) {2,}/gm);
    const names = Array.from(listed, ([, name]) => name!).slice(0, Object.keys(COMMANDS).length);
    expect(names.sort()).toEqual(Object.keys(COMMANDS).sort());
  });

  for (const [name, { description, load }] of Object.entries(COMMANDS)) {
    test(`${name} --help`, async () => {
      const { default: command } = await load();
      expect(command.meta).toEqual({ name, description });
      const { exitCode, stdout, stderr } = uffb([name, "--no-such-flag", "--help"]);
      expect([exitCode, stderr]).toEqual([0, ""]);
      for (const part of [`uffb ${name}`, "EXAMPLES", "EXIT CODES", "--verbose"])
        expect(stdout).toContain(part);
      const wrong = uffb([name, "--no-such-flag"]);
      expect([wrong.exitCode, wrong.stdout]).toEqual([2, ""]);
      expect(wrong.stderr).toContain("unknown flag --no-such-flag");
    });
  }
});

describe("streams", () => {
  const tokenizer = fileURLToPath(new URL("../fixtures/tokenizer-8k", import.meta.url));
  const line = [process.execPath, MAIN, "tokenize", "--tokenizer", tokenizer];

  test("end quietly when the reader has gone", async () => {
    const input = new Blob([`${"word ".repeat(50)}\n`.repeat(20_000)]);
    const child = Bun.spawn(line, { stdin: input, stdout: "pipe", stderr: "pipe" });
    const reader = child.stdout.getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    expect(await child.exited).toBe(0);
    expect(await child.stderr.text()).toBe("");
  });

  test("exit with 130 when interrupted", async () => {
    const child = Bun.spawn(line, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    child.stdin.write("one line\n");
    child.stdin.flush();
    await child.stdout.getReader().read();
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(await child.stderr.text()).toBe("");
  });
});
