/** Unpacks streams. The modules of Node's that this takes are slow to load, so only a packed stream loads this one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UffbError } from "../base/errors.ts";
import type { Packing } from "./packing.ts";

/** @throws Error while it is read, when it is damaged */
type Unpack = (packed: Readable) => AsyncIterable<Uint8Array>;

const UNPACK: Readonly<Record<Packing, Unpack>> = { gzip: gunzip, xz: unxz };

async function* gunzip(packed: Readable): AsyncGenerator<Uint8Array> {
  const transform = createGunzip();
  pipeline(packed, transform, () => {}); // its failure is thrown by the loop
  try {
    yield* transform;
  } finally {
    transform.destroy();
  }
}

/** Most memory that unpacking xz may take, whatever dictionary a file claims to need; `xz -9` makes files that need 65 MiB. */
const XZ_MEMORY = "1GiB";

/** By the system's program: Bun has no xz, and npm's packages for it need a compiler or have not been released for years. */
async function* unxz(packed: Readable): AsyncGenerator<Uint8Array> {
  const child = spawn("xz", ["-dc", `--memlimit-decompress=${XZ_MEMORY}`]);
  await once(child, "spawn").catch((error) => {
    throw new Error("the program xz is missing; install it (Debian: xz-utils), or unpack the file yourself", {
      cause: error,
    });
  });
  const ended = once(child, "close");
  let complaint = "";
  child.stderr.on("data", (text) => {
    complaint += text;
  });
  let unread: Error | undefined;
  // xz that ends early closes its input, which is no failure of its own.
  pipeline(packed, child.stdin, (error) => {
    if (error && !["EPIPE", "ERR_STREAM_PREMATURE_CLOSE"].includes(error.code ?? "")) unread = error;
  });
  try {
    yield* child.stdout;
    const [code] = await ended;
    if (unread) throw unread;
    if (code !== 0) throw new Error(complaint.trim().split(": ").at(-1) || `xz ended with ${code}`);
  } finally {
    child.kill();
  }
}

/** Bytes that one packed byte may become: texts become five to ten times smaller, a bomb a thousand. */
const MAX_RATIO = 100;
/** Bytes that are never too many. */
const FEW_BYTES = 2 ** 24;

/**
 * What a packed stream holds.
 * @throws UffbError while it is read, when it is damaged or, with `bounded`, far larger than what texts become
 */
export async function* unpack(
  packing: Packing,
  stream: AsyncIterable<Uint8Array>,
  source: string,
  bounded: boolean,
): AsyncGenerator<Uint8Array> {
  let stored = 0;
  let size = 0;
  async function* counted() {
    for await (const chunk of stream) {
      stored += chunk.length;
      yield chunk;
    }
  }
  try {
    for await (const chunk of UNPACK[packing](Readable.from(counted(), { objectMode: false }))) {
      size += chunk.length;
      if (bounded && size > FEW_BYTES + MAX_RATIO * stored)
        throw new UffbError(
          `${source}: becomes more than ${MAX_RATIO} times as large when it is unpacked; unpack it yourself`,
        );
      yield chunk;
    }
  } catch (error) {
    if (error instanceof UffbError) throw error;
    throw new UffbError(`${source}: cannot be unpacked as ${packing}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
