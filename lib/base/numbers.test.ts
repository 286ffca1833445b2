import { expect, test } from "bun:test";
import { count, formatBytes, formatSeconds, percent, plural } from "./numbers.ts";

test("shares", () => {
  expect([0, 0.001, 0.0099, 0.01, 0.5, 1, -0.02, Number.NaN].map((share) => percent(share))).toEqual([
    "0.0%",
    "0.10%",
    "0.99%",
    "1.0%",
    "50.0%",
    "100.0%",
    "-2.0%",
    "–",
  ]);
  expect([percent(0.876, 0), percent(0.001, 1)]).toEqual(["88%", "0.1%"]);
});

test("counts", () => {
  expect([count(4095.4), plural(1, "tree"), plural(4095, "tree")]).toEqual([
    "4,095",
    "1 tree",
    "4,095 trees",
  ]);
});

test("bytes and seconds", () => {
  expect([0, 999, 1000, 99_949, 99_950, 755_000_000, 999_600, 2 ** 52].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "99.9 kB",
    "100 kB",
    "755 MB",
    "1.0 MB",
    "4504 TB",
  ]);
  expect([0, 0.2, 89, 91, 3599, 3700].map(formatSeconds)).toEqual([
    "0 s",
    "1 s",
    "89 s",
    "2 min",
    "1 h 0 min",
    "1 h 2 min",
  ]);
});
