import { expect, test } from "bun:test";
import { bar, StatusLine, timeLeft, WorkLine } from "./progress.ts";

test("a line is drawn on a terminal, no wider than that, and taken away", () => {
  const written: string[] = [];
  const line = new StatusLine((text) => void written.push(text), 10);
  line.clear();
  line.show(() => "12345 \u009b 789");
  line.show(() => "too soon");
  line.clear();
  line.show(() => "again");
  expect(written).toEqual(["\r\x1b[K12345 \\u0", "\r\x1b[K", "\r\x1b[Kagain"]);
});

test("nothing is drawn, or asked for, where nobody watches", () => {
  const fail = () => {
    throw new Error("called");
  };
  const line = new StatusLine(fail, undefined);
  line.show(fail);
  line.clear();
});

test("what is left is told after a second, from the share that is done", () => {
  expect(timeLeft(0, 999, 0.5)).toBe("");
  expect(timeLeft(0, 5000, 0)).toBe("");
  expect(timeLeft(0, 5000, 0.25)).toBe("15 s left");
  expect(timeLeft(1000, 5000, 1)).toBe("0 s left");
});

test("work shows its share, and goes when it is done", () => {
  const written: string[] = [];
  const line = new WorkLine(new StatusLine((text) => void written.push(text), 80));
  line.show("reading", 1, 4);
  line.show("reading", 4, 4);
  expect(written).toEqual(["\r\x1b[Kreading  █████░░░░░░░░░░░░░░░  25%", "\r\x1b[K"]);
});

test("bars", () => {
  expect([bar(0, 4), bar(0.6, 4), bar(1, 4)]).toEqual(["░░░░", "██░░", "████"]);
});
