import { describe, expect, test } from "bun:test";
import { UsageError } from "../base/errors.ts";
import { findTasks, TASKS } from "./tasks.ts";

const names = (...asked: string[]) => findTasks(asked).map((task) => task.name);

describe("findTasks", () => {
  test("takes the papers' spellings, groups, and each task once", () => {
    expect(names("SST-2", "MNLI_mm", "AX-b", "sst2")).toEqual(["sst2", "mnli-mm", "axb"]);
    expect(names("mnli")).toEqual(["mnli-m", "mnli-mm"]);
    expect(names("all")).toEqual(["mnli-m", "mnli-mm", "qqp", "qnli", "sst2", "stsb", "mrpc", "rte", "cola"]);
  });

  test("refuses what is no task", () => {
    expect(() => names("mrcp")).toThrow(UsageError);
  });

  test("every task is complete: class names in lower case, as rows are compared to them", () => {
    for (const { texts, labels, metrics, rows } of TASKS) {
      expect(texts.length).toBeGreaterThan(0);
      expect(metrics.length).toBeGreaterThan(0);
      expect(labels).toEqual(labels.map((label) => label.toLowerCase()));
      expect(rows.dev).toBeGreaterThan(0);
    }
  });
});
