import { expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { TemporaryFolder } from "../../testing/folders.ts";
import { UffbError } from "./errors.ts";
import { checkWritable, FolderBeside, makeWhole, writeWhole } from "./write.ts";

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
    new UffbError(`${path}: cannot be written: the disk is full; free some space`),
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

test("a link stays, and the file that it names is replaced", async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("elsewhere"));
  writeFileSync(folder.file("elsewhere/file"), "old");
  symlinkSync("elsewhere/file", folder.file("link"));
  await writeWhole(folder.file("link"), "new");
  expect(lstatSync(folder.file("link")).isSymbolicLink()).toBe(true);
  expect(readFileSync(folder.file("elsewhere/file"), "utf8")).toBe("new");
  expect(readdirSync(folder.file("elsewhere"))).toEqual(["file"]);
});

test("a link to nothing is refused", async () => {
  using folder = new TemporaryFolder();
  symlinkSync("none", folder.file("link"));
  for (const write of [writeWhole(folder.file("link"), ""), makeWhole(folder.file("link"), () => {})])
    await expect(write).rejects.toThrow("is a link to a file that is not there");
  expect(() => checkWritable(folder.file("link"))).toThrow("is a link");
  expect(readdirSync(folder.path)).toEqual(["link"]);
});

test("a device is written to where that is possible, else refused, and stays a device", async () => {
  using folder = new TemporaryFolder();
  symlinkSync("/dev/null", folder.file("null"));
  for (const path of ["/dev/null", folder.file("null")]) {
    await writeWhole(path, "text");
    await expect(makeWhole(path, () => {})).rejects.toThrow("is a device or a pipe");
    expect(() => checkWritable(path)).toThrow("is a device or a pipe");
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
  }
  await expect(writeWhole("/dev/full", "text")).rejects.toThrow("/dev/full: cannot be written");
  expect(readdirSync(folder.path)).toEqual(["null"]);
});

test("a FIFO's reader gets all of it", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("fifo");
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const reader = Bun.spawn(["cat", path], { stdout: "pipe" });
  const text = "line\n".repeat(100_000); // more than a pipe holds
  await writeWhole(path, text);
  expect(await new Response(reader.stdout).text()).toBe(text);
  expect(lstatSync(path).isFIFO()).toBe(true);
  expect(readdirSync(folder.path)).toEqual(["fifo"]);
});

test("whether a file can be written is known before, and nothing is left of finding out", () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("out"), "old");
  checkWritable(folder.file("out"));
  checkWritable(folder.file("new"));
  expect(() => checkWritable(folder.file("none/out"))).toThrow("none/out: cannot be written");
  expect(() => checkWritable(folder.path)).toThrow("is there already");
  expect(readdirSync(folder.path)).toEqual(["out"]);
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
