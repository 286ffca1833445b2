/* Numbers as people read them. */

/** A share as a percentage: `53.2%`. Shares between 0 and 1% get one more digit; NaN is a dash. */
export function percent(share: number, digits = share > 0 && share < 0.01 ? 2 : 1): string {
  return Number.isNaN(share) ? "–" : `${(100 * share).toFixed(digits)}%`;
}

/** Rounded, with thousands separated: `4,095`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1 tree`, `4,095 trees`. */
export function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** `1.5 GB`: two or three digits, decimal units, as the hub's pages have them. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `45 s`, `3 min`, `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.ceil(whole / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The largest of any number of values: Math.max takes some 65,000. -Infinity of none; NaN where one is NaN. */
export function largest(values: Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  return most;
}
