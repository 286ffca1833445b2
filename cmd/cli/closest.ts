/**
 * The word that `given` was most likely meant to be: the nearest by edit distance, if it is near enough to be a typing error (one edit, or
 * a third of its length), or the only one that begins with it.
 */
export function closest(given: string, words: Iterable<string>): string | undefined {
  const candidates = [...words];
  const begun = candidates.filter((word) => given.length >= 2 && word.startsWith(given));
  if (begun.length === 1) return begun[0];
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const word of candidates) {
    const distance = editDistance(given, word);
    if (distance <= Math.max(1, Math.floor(word.length / 3)) && distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  return best;
}

/** `; did you mean X?`, or nothing. */
export function didYouMean(given: string, words: Iterable<string>, prefix = ""): string {
  const word = closest(given, words);
  return word === undefined ? "" : `; did you mean ${prefix}${word}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return Number.POSITIVE_INFINITY;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const previous = rows[i - 1]!;
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, rows[i - 2]![j - 2]! + 1);
      }
      row.push(cost);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
