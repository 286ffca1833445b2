/** Packed streams, known by their first bytes. */
import { pipeline, Readable, type Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { UffbError } from "../base/errors.ts";

interface Packing {
  name: string;
  magic: readonly number[];
  unpacker(): Transform;
}

const PACKINGS: readonly Packing[] = [{ name: "gzip", magic: [0x1f, 0x8b], unpacker: () => createGunzip() }];

/** Bytes that one packed byte may become: texts become five to ten times smaller, a bomb a thousand. */
const MAX_RATIO = 100;
/** Bytes that are never too many. */
const FEW_BYTES = 2 ** 24;

const startsWith = (start: Uint8Array, { magic }: Packing, most = magic.length) =>
  magic.slice(0, most).every((byte, i) => start[i] === byte);

/** Whether a stream's first bytes tell if it is packed. */
export function knowsPacking(start: Uint8Array): boolean {
  return PACKINGS.every(
    (packing) => start.length >= packing.magic.length || !startsWith(start, packing, start.length),
  );
}

/**
 * What a packed stream holds; undefined for one that is not packed.
 * @throws UffbError while it is read, when it is damaged or, with `bounded`, far larger than what texts become
 */
export function unpack(
  start: Uint8Array,
  stream: AsyncIterable<Uint8Array>,
  source: string,
  bounded: boolean,
): AsyncIterable<Uint8Array> | undefined {
  const packing = PACKINGS.find((one) => startsWith(start, one));
  return packing && unpacked(packing, stream, source, bounded);
}

async function* unpacked(
  { name, unpacker }: Packing,
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
  const transform = unpacker();
  pipeline(Readable.from(counted(), { objectMode: false }), transform, () => {}); // its failure is thrown below
  try {
    for await (const chunk of transform as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (bounded && size > FEW_BYTES + MAX_RATIO * stored)
        throw new UffbError(
          `${source}: becomes more than ${MAX_RATIO} times as large when it is unpacked; unpack it yourself`,
        );
      yield chunk;
    }
  } catch (error) {
    if (error instanceof UffbError) throw error;
    throw new UffbError(`${source}: cannot be unpacked as ${name}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    transform.destroy();
  }
}
