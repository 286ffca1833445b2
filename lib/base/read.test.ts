import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { TemporaryFolder } from "../../testing/folders.ts";
import { readNamed, readRegular, readRegularText } from "./read.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

/** A folder with a file, a FIFO that nobody writes to, an endless device, and links to them. */
function folderOfTraps(): TemporaryFolder {
  const folder = new TemporaryFolder();
  writeFileSync(folder.file("file"), "content");
  expect(Bun.spawnSync(["mkfifo", folder.file("fifo")]).exitCode).toBe(0);
  symlinkSync("/dev/zero", folder.file("zero"));
  symlinkSync("fifo", folder.file("link-to-fifo"));
  symlinkSync("file", folder.file("link"));
  symlinkSync("circle", folder.file("circle"));
  mkdirSync(folder.file("inside"));
  return folder;
}

describe("a file found in a folder", () => {
  test("is read, however many bytes it may have beyond its own", () => {
    using folder = folderOfTraps();
    expect(text(readRegular(folder.file("file"), { most: 7 }))).toBe("content");
    expect(text(readRegular(folder.file("link"), { most: 1e9 }))).toBe("content");
    writeFileSync(folder.file("empty"), "");
    expect(readRegular(folder.file("empty"), { most: 7 })).toHaveLength(0);
  });

  test.each([
    ["fifo", "fifo: is a device or a pipe, not a file"],
    ["link-to-fifo", "link-to-fifo: is a device or a pipe, not a file"],
    ["zero", "zero: is a device or a pipe, not a file"],
    ["inside", "inside: is a folder, not a file"],
    ["none", "none: no such file"],
    ["circle", "circle: cannot be read: its links lead in a circle"],
    ["file/x", "x: cannot be read: a part of the path is a file, not a folder"],
  ])("is refused when it is %s, at once", (name, message) => {
    using folder = folderOfTraps();
    expect(() => readRegular(folder.file(name), { most: 100 })).toThrow(message);
  });

  test("has a largest size", () => {
    using folder = folderOfTraps();
    expect(() => readRegular(folder.file("file"), { most: 6 })).toThrow("has 7 bytes; at most 6 are read");
  });

  test("lies in the folders that it should be in, wherever links lead", () => {
    using folder = folderOfTraps();
    const inside = [folder.file("inside")];
    symlinkSync("../file", folder.file("inside/out"));
    symlinkSync(".", folder.file("inside/here"));
    writeFileSync(folder.file("inside/file"), "own");
    mkdirSync(folder.file("inside-not"));
    writeFileSync(folder.file("inside-not/file"), "a neighbour's");
    symlinkSync("../inside-not/file", folder.file("inside/neighbour"));
    const read = (name: string, places = inside) =>
      text(readRegular(folder.file(name), { most: 100, inside: places }));
    expect(read("inside/file")).toBe("own");
    expect(read("inside/here/here/file")).toBe("own");
    expect(read("inside/out", [...inside, folder.path])).toBe("content");
    for (const name of ["inside/out", "inside/neighbour", "inside/here/out"]) {
      expect(() => read(name)).toThrow("is a link to a file outside the folder");
    }
  });

  test("that is no text is not quoted", () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file("secret"), Buffer.from([...Buffer.from("SECRET"), 0xff]));
    expect(() => readRegularText(folder.file("secret"), { most: 100 })).toThrow(
      new RegExp(`^${folder.file("secret")}: is not UTF-8 text; get the file again$`),
    );
  });
});

describe("what a user names", () => {
  test("may be a pipe, which is read to its end", async () => {
    using folder = folderOfTraps();
    const writer = Bun.spawn([
      "sh",
      "-c",
      `for i in 1 2 3; do echo $i; sleep 0.02; done > '${folder.file("fifo")}'`,
    ]);
    expect(text(await readNamed(folder.file("fifo"), 100))).toBe("1\n2\n3\n");
    await writer.exited;
    expect(text(await readNamed(folder.file("file"), 100))).toBe("content");
  });

  test.each([
    ["zero", "zero: is too large; at most 100000 are read"],
    ["inside", "inside: cannot be read: it is a folder, not a file"],
    ["none", "none: no such file"],
  ])("is refused when it is %s", async (name, message) => {
    using folder = folderOfTraps();
    await expect(readNamed(folder.file(name), 100_000)).rejects.toThrow(message);
  });
});
