import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../testing/interrupted.ts", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "uffb-interrupt-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Starts the program with a shell's words before it; resolves when it has begun. */
async function start(words: readonly string[], before = "", folder = mkdtempSync(join(root, "run-"))) {
  const child = Bun.spawn(
    ["sh", "-c", `${before} exec "$@"`, "sh", process.execPath, PROGRAM, folder, ...words],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  for await (const _ of child.stdout) break;
  await Bun.sleep(100); // until it is busy
  return { child, folder, left: () => readdirSync(folder) };
}

const SIGNALS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
  ["SIGQUIT", 131],
] as const;

describe.each(SIGNALS)("%s ends", (signal, code) => {
  test.concurrent.each([[["idle"]], [["idle", "engine"]], [["busy", "engine"]]])(
    "what is %p, and leaves no temporary file",
    async (words) => {
      const { child, left } = await start(words);
      expect(left()).toHaveLength(1);
      child.kill(signal);
      expect(await child.exited).toBe(code);
      expect(left()).toEqual([]);
    },
  );

  test.concurrent.each([[["idle", "nothing"]], [["busy", "nothing"]]])("what is %p", async (words) => {
    const { child } = await start(words);
    child.kill(signal);
    expect(await child.exited).toBe(code);
  });
});

test("a second signal does not wait for the first to be obeyed", async () => {
  const { child, left } = await start(["busy", "engine"]);
  child.kill("SIGINT");
  await Bun.sleep(50);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
  expect(left()).toEqual([]);
});

test.each([[["idle"]], [["idle", "engine"]]])("a signal that was to be ignored is: %p", async (words) => {
  const { child } = await start(words, "trap '' HUP;");
  child.kill("SIGHUP");
  await Bun.sleep(200);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
});

test("what a killed process leaves, the next one in the folder removes, and nothing of the living", async () => {
  const killed = await start(["busy"]);
  const living = await start(["idle"], "", killed.folder);
  killed.child.kill("SIGKILL");
  await killed.child.exited;
  expect(killed.left()).toHaveLength(2);
  const next = await start(["idle"], "", killed.folder);
  expect(next.left()).toHaveLength(2);
  for (const { child } of [living, next]) {
    child.kill("SIGTERM");
    await child.exited;
  }
  expect(next.left()).toEqual([]);
});

describe("work that is to be brought to an end", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("takes its time after %s", async (signal) => {
    const { child } = await start(["graceful", "engine"]);
    child.kill(signal);
    expect(await child.exited).toBe(7); // and not after the half second that the engine waits
  });

  test("ends on the spot at the second signal", async () => {
    const { child, left } = await start(["graceful", "engine"]);
    child.kill("SIGINT");
    await Bun.sleep(200);
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(left()).toEqual([]);
  });
});
