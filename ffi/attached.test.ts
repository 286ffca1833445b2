import { afterEach, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { attach, attached, attachedTo } from "./attached.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-attached-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
afterEach(() => attachedTo(undefined));

let programs = 0;
function programWith(files: Record<string, Uint8Array>): string {
  const program = join(folder, `program-${programs++}`);
  copyFileSync("/bin/true", program);
  attach(program, files);
  attachedTo(program);
  return program;
}

const files = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 20 }),
  fc.uint8Array({ minLength: 1, maxLength: 100_000 }),
  {
    maxKeys: 4,
  },
);

test("finds every file behind a program, which still runs", () => {
  fc.assert(
    fc.property(files, (files) => {
      const program = programWith(files);
      for (const [name, content] of Object.entries(files)) expect(attached(name)).toEqual(content);
      expect(Bun.spawnSync([program]).exitCode).toBe(0);
    }),
    { numRuns: 20 },
  );
});

test("says what is lost where a program was cut or stripped", () => {
  const program = programWith({ model: new Uint8Array(1000) });
  expect(() => attached("other")).toThrow(/^this uffb has lost other.* get the program again/);
  const { size } = statSync(program);
  for (const end of [size - 1, size - 100, statSync("/bin/true").size, 4, 0]) {
    truncateSync(program, end);
    expect(readFileSync(program).length).toBe(end);
    expect(() => attached("model")).toThrow(/^this uffb has lost model/);
  }
});

test("leaves a checkout to look for its own files", () => {
  expect(attached("model")).toBeUndefined();
});
