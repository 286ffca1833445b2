/** What must hold of every command that trains: it can be ended at any moment, and goes on with the same bits. */
import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Start = (...line: string[]) => Bun.Subprocess<"ignore" | "pipe", "pipe", "pipe">;

/**
 * Runs a command line once as a whole, and once ended by SIGTERM, then by kill -9: the weights are the same.
 * @param start begins a process of uffb in `folder`
 */
export async function expectSameBitsAfterEnds(
  folder: string,
  start: Start,
  line: readonly string[],
): Promise<void> {
  const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));
  const log = join(folder, "ended.run/log.jsonl");

  async function until(ready: (log: string) => boolean): Promise<void> {
    for (let i = 0; i < 6000; i++) {
      if (existsSync(log) && ready(readFileSync(log, "utf8"))) return;
      await Bun.sleep(10);
    }
    throw new Error("nothing happened");
  }

  async function finish(...more: string[]) {
    const child = start(...line, ...more);
    const [, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return [await child.exited, err];
  }

  expect((await finish("-o", "whole", "--threads", "2"))[0]).toBe(0);
  const first = start(...line, "-o", "ended");
  await until((text) => text.length > 0);
  first.kill("SIGTERM");
  expect([await first.exited, await first.stderr.text()]).toEqual([
    130,
    expect.stringContaining("--resume goes on"),
  ]);
  expect(existsSync(join(folder, "ended"))).toBe(false);
  const second = start(...line, "-o", "ended", "--resume");
  const before = readFileSync(log).length;
  await until((text) => text.length > before + 1000);
  second.kill("SIGKILL");
  await second.exited;
  expect(await finish("-o", "ended", "--resume", "--threads", "1")).toEqual([
    0,
    expect.stringMatching(/goes on after step [1-9]/),
  ]);
  expect(weights("ended").equals(weights("whole"))).toBe(true);
  expect(existsSync(join(folder, "ended.run"))).toBe(false);
}
