/** Hand-made maps of characters, as SentencePiece models carry them. */

/** A map from ASCII characters to texts, each of which ends in 0 or, the last, where the map ends. */
export function forgeCharsMap(texts: Readonly<Record<string, string>>, ended = true): Uint8Array {
  // A double array whose root lies at 0: a character's node is its code, and that of its leaf is beside it.
  const units = new Uint32Array(256);
  const ends: Buffer[] = [];
  let place = 0;
  for (const [char, text] of Object.entries(texts)) {
    const code = char.charCodeAt(0);
    units[code] = code | 0x100 | (1 << 10);
    units[code ^ 1] = 0x80000000 | place;
    ends.push(Buffer.from(`${text}${ended ? "\0" : ""}`));
    place += ends.at(-1)!.length;
  }
  const size = new Uint8Array(Uint32Array.of(units.byteLength).buffer);
  return new Uint8Array(Buffer.concat([size, new Uint8Array(units.buffer), ...ends]));
}
