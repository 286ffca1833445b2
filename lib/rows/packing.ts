/** Packed streams, known by their first bytes. */
const MAGIC = {
  gzip: [0x1f, 0x8b],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
} as const;

export type Packing = keyof typeof MAGIC;

const PACKINGS = Object.keys(MAGIC) as Packing[];

const startsWith = (start: Uint8Array, packing: Packing, most: number = MAGIC[packing].length) =>
  MAGIC[packing].slice(0, most).every((byte, i) => start[i] === byte);

/** Whether a stream's first bytes tell if it is packed. */
export function knowsPacking(start: Uint8Array): boolean {
  return PACKINGS.every(
    (packing) => start.length >= MAGIC[packing].length || !startsWith(start, packing, start.length),
  );
}

/** How a stream with this beginning is packed; undefined for one that is not. */
export function packingOf(start: Uint8Array): Packing | undefined {
  return PACKINGS.find((packing) => startsWith(start, packing));
}
