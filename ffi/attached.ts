/**
 * Files behind the end of the compiled binary. Those that Bun holds inside it can only be copied, which takes a model's size in memory and
 * longer than all else that a program's start consists of; these are mapped.
 *
 * Each starts at a page. Behind the last come a directory, as JSON; its length, 8 bytes; and SIGNATURE.
 */
import { appendFileSync, closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { UffbError } from "../lib/base/errors.ts";
import { mapRange } from "./libc.ts";

const SIGNATURE = Buffer.from("uffbfile");
const END = SIGNATURE.length + 8;
const PAGE = 65_536; // of any processor
const MAX_DIRECTORY = 4096;

type Directory = Record<string, [offset: number, size: number]>;

let program: string | undefined;

/** Called by the compiled binary's entry: what is asked for lies behind the end of this file. */
export function attachedTo(path: string | undefined): void {
  program = path;
}

/** Writes files behind the end of a program, by the names under which they will be found. */
export function attach(program: string, files: Readonly<Record<string, Uint8Array>>): void {
  let end = statSync(program).size;
  const places = Object.entries(files).map(([name, content]) => {
    const offset = end + (-end & (PAGE - 1));
    appendFileSync(program, new Uint8Array(offset - end));
    appendFileSync(program, content);
    end = offset + content.length;
    return [name, [offset, content.length]];
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(places)));
  if (text.length > MAX_DIRECTORY) throw new Error(`a directory of ${text.length} bytes is too long`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  appendFileSync(program, Buffer.concat([text, length, SIGNATURE]));
}

/**
 * A file that is attached to this program, mapped; undefined in a checkout.
 *
 * @throws UffbError when the program was cut
 */
export function attached(name: string): Uint8Array<ArrayBuffer> | undefined {
  if (program === undefined) return undefined;
  const file = openSync(program, "r");
  try {
    const found = readDirectory(file)?.[name];
    const bytes = found && mapRange(file, ...found);
    if (bytes) return bytes;
  } finally {
    closeSync(file);
  }
  throw new UffbError(
    `this uffb has lost ${name}, which lies behind its end; get the program again, and do not strip it`,
  );
}

function readDirectory(file: number): Directory | undefined {
  const { size } = fstatSync(file);
  const tail = Buffer.alloc(Math.min(size, MAX_DIRECTORY + END));
  readSync(file, tail, 0, tail.length, size - tail.length);
  if (!tail.subarray(-SIGNATURE.length).equals(SIGNATURE)) return undefined;
  const length = Number(tail.readBigUInt64LE(tail.length - END));
  return JSON.parse(tail.subarray(-END - length, -END).toString());
}
