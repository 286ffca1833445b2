/**
 * The ZIP container of `torch.save` (PyTorch 1.6 and later): entries stored uncompressed, so that each is a slice of the file.
 * Compressed entries are refused (a checkpoint has none), and with them every zip bomb. Checksums are not compared: PyTorch
 * can be told not to write them, and a download is verified by its hash.
 */

import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_COMMENT = 0xffff;
const MAX_ENTRIES = 50_000;
const ENCRYPTED = 0x2041;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function fail(reason: string): never {
  throw new UffbError(`not a readable ZIP file: ${reason}`);
}

interface Directory {
  count: number;
  start: number;
  end: number;
}

interface Entry {
  name: string;
  header: number;
  size: number;
}

function u64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  return value > Number.MAX_SAFE_INTEGER ? fail("a size beyond 2^53") : Number(value);
}

/** Finds the end record (its comment must end with the file) and, through it, the central directory. */
function findDirectory(view: DataView): Directory {
  const last = view.byteLength - 22;
  let at = last;
  const first = Math.max(0, last - MAX_COMMENT);
  while (at >= first && !(view.getUint32(at, true) === END && view.getUint16(at + 20, true) === last - at))
    at--;
  if (at < first) fail("it has no end record; it may be cut off");
  let limit = at;
  let disks = view.getUint16(at + 4, true) + view.getUint16(at + 6, true);
  let count = view.getUint16(at + 10, true);
  let bytes = view.getUint32(at + 12, true);
  let start = view.getUint32(at + 16, true);
  if (at >= 20 && view.getUint32(at - 20, true) === LOCATOR64) {
    limit = u64(view, at - 12);
    if (limit > at - 20 - 56 || view.getUint32(limit, true) !== END64) fail("a bad ZIP64 end record");
    disks = view.getUint32(limit + 16, true) + view.getUint32(limit + 20, true);
    count = u64(view, limit + 32);
    bytes = u64(view, limit + 40);
    start = u64(view, limit + 48);
  }
  if (disks !== 0) fail("it is split over several files");
  if (start + bytes > limit || count > MAX_ENTRIES || count * 46 > bytes) fail("a bad central directory");
  return { count, start, end: start + bytes };
}

/** A name that could mean a place outside the archive, or two names in two readers. */
function isTricky(name: string): boolean {
  return (
    name.length > 512 ||
    /[\\:\x00-\x1f\x7f]/.test(name) ||
    name.split("/").some((part) => part === "" || part === "." || part === "..")
  );
}

function decodeName(bytes: Uint8Array): string {
  let name: string;
  try {
    name = utf8.decode(bytes);
  } catch {
    return fail("an entry's name is not UTF-8");
  }
  return isTricky(name) ? fail(`the entry name ${quoted(name)} is not a plain path`) : name;
}

/** The sizes and offset of a central entry that do not fit 32 bits, from its ZIP64 field, in the order given there. */
function widen(view: DataView, extra: number, extraEnd: number, fields: number[]): number[] {
  if (!fields.includes(0xffffffff)) return fields;
  let at = extra;
  while (at + 4 <= extraEnd) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > extraEnd) break;
    if (view.getUint16(at, true) === 1) {
      at += 4;
      return fields.map((field) => {
        if (field !== 0xffffffff) return field;
        if (at + 8 > end) fail("a bad ZIP64 field");
        at += 8;
        return u64(view, at - 8);
      });
    }
    at = end;
  }
  return fail("a ZIP64 field is missing");
}

/** Reads the central entry at `at`; gives it with the position of the next. */
function readCentral(
  file: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): { entry: Entry; next: number } {
  if (at + 46 > end || view.getUint32(at, true) !== CENTRAL) fail("a bad central directory");
  const nameEnd = at + 46 + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > end) fail("a bad central directory");
  const name = decodeName(file.subarray(at + 46, nameEnd));
  if ((view.getUint16(at + 8, true) & ENCRYPTED) !== 0) fail(`the entry ${quoted(name)} is encrypted`);
  if (view.getUint16(at + 10, true) !== 0) {
    fail(
      `the entry ${quoted(name)} is compressed, as in TorchScript programs; save model.state_dict() with torch.save`,
    );
  }
  const fields = [
    view.getUint32(at + 24, true),
    view.getUint32(at + 20, true),
    view.getUint32(at + 42, true),
  ];
  const [size, stored, header] = widen(view, nameEnd, extraEnd, fields) as [number, number, number];
  if (size !== stored) fail(`the entry ${quoted(name)} has two sizes`);
  return { entry: { name, header, size }, next };
}

/** Where an entry's data begins: after its local header, which must be that of the same entry. */
function dataStart(file: Uint8Array, view: DataView, { name, header }: Entry, limit: number): number {
  if (header + 30 > limit || view.getUint32(header, true) !== LOCAL)
    fail(`the entry ${quoted(name)} is not where it should be`);
  const nameEnd = header + 30 + view.getUint16(header + 26, true);
  const start = nameEnd + view.getUint16(header + 28, true);
  if (start > limit || decodeName(file.subarray(header + 30, nameEnd)) !== name) {
    fail(`the entry ${quoted(name)} is not where it should be`);
  }
  return start;
}

/**
 * The entries of a ZIP file, each a view of `file` (nothing is copied).
 *
 * @throws UffbError for compressed or encrypted entries, names that are not plain relative paths, duplicate names, and entries that overlap
 * or lie outside the file
 */
export function readZip(file: Uint8Array): Map<string, Uint8Array> {
  if (file.length < 22) fail("it is too short");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const directory = findDirectory(view);
  const entries: Entry[] = [];
  let at = directory.start;
  for (let i = 0; i < directory.count; i++) {
    const { entry, next } = readCentral(file, view, at, directory.end);
    entries.push(entry);
    at = next;
  }
  entries.sort((a, b) => a.header - b.header);
  const contents = new Map<string, Uint8Array>();
  for (const [i, entry] of entries.entries()) {
    const limit = Math.min(entries[i + 1]?.header ?? directory.start, directory.start);
    const start = dataStart(file, view, entry, limit);
    if (entry.size > limit - start) fail(`the entry ${quoted(entry.name)} overlaps what follows it`);
    if (contents.has(entry.name)) fail(`the entry ${quoted(entry.name)} is there twice`);
    contents.set(entry.name, file.subarray(start, start + entry.size));
  }
  return contents;
}
