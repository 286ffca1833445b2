import { expect, test } from "bun:test";
import { bar, StatusLine } from "./progress.ts";

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

test("bars", () => {
  expect([bar(0, 4), bar(0.6, 4), bar(1, 4)]).toEqual(["░░░░", "██░░", "████"]);
});
