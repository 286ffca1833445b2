/** "2.41 µs", "13.2 ms" */
export function seconds(value: number): string {
  for (const [unit, size] of [
    ["s", 1],
    ["ms", 1e-3],
    ["µs", 1e-6],
  ] as const) {
    if (value >= size) return `${significant(value / size)} ${unit}`;
  }
  return `${significant(value / 1e-9)} ns`;
}

/** Three significant digits, without an exponent. */
export function significant(value: number): string {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 100));
}
