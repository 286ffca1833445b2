import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { TemporaryFolder } from "../../testing/folders.ts";
import { UffbError } from "./errors.ts";
import { FolderBeside, makeWhole } from "./write.ts";

test("the file appears when it is complete, and replaces the old one", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("out");
  writeFileSync(path, "old");
  const result = await makeWhole(path, (temporary) => {
    writeFileSync(temporary, "new");
    expect(readFileSync(path, "utf8")).toBe("old");
    return 7;
  });
  expect(result).toBe(7);
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(readdirSync(folder.path)).toEqual(["out"]);
});

test("a folder appears as a whole, too, and replaces none", async () => {
  using folder = new TemporaryFolder();
  const make = (temporary: string) => {
    mkdirSync(temporary);
    writeFileSync(`${temporary}/x`, "");
  };
  await makeWhole(folder.file("out"), make);
  expect(readdirSync(folder.file("out"))).toEqual(["x"]);
  await expect(makeWhole(folder.file("out"), make)).rejects.toThrow("out: is there already; remove it");
  expect(readdirSync(folder.path)).toEqual(["out"]);
});

test("leaves nothing behind when it fails, and the old file in place", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("out");
  writeFileSync(path, "old");
  const fail = async (temporary: string) => {
    writeFileSync(temporary, "half");
    throw new UffbError("no");
  };
  await expect(makeWhole(path, fail)).rejects.toThrow(new UffbError("no"));
  const full = () => Promise.reject(Object.assign(new Error("no space left"), { code: "ENOSPC" }));
  await expect(makeWhole(path, full)).rejects.toThrow(
    new UffbError(`${path}: cannot be written: no space left`),
  );
  expect(readFileSync(path, "utf8")).toBe("old");
  await expect(makeWhole(folder.file("none/out"), fail)).rejects.toThrow("none/out: cannot be written");
  expect(readdirSync(folder.path)).toEqual(["out"]);
});

test("an exit in the middle leaves nothing behind", () => {
  using folder = new TemporaryFolder();
  const script = `
    import { writeFileSync } from "node:fs";
    import { FolderBeside, makeWhole } from ${JSON.stringify(new URL("./write.ts", import.meta.url).pathname)};
    new FolderBeside("out");
    void makeWhole("out", (temporary) => {
      writeFileSync(temporary, "half");
      process.exit(3);
    });`;
  const { exitCode } = Bun.spawnSync([process.execPath, "-e", script], { cwd: folder.path });
  expect(exitCode).toBe(3);
  expect(readdirSync(folder.path)).toEqual([]);
});

test("a folder beside goes away with its contents", () => {
  using folder = new TemporaryFolder();
  let path: string;
  {
    using beside = new FolderBeside(folder.file("out"));
    path = beside.path;
    writeFileSync(`${path}/x`, "");
    expect(readdirSync(folder.path).length).toBe(1);
  }
  expect(existsSync(path)).toBe(false);
});
