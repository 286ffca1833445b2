import { describe, expect, test } from "bun:test";
import type { Result } from "./heads.ts";
import { exporter, type Format } from "./output.ts";

const item = { line: 3, id: "a\tb", text: "one\ttwo \u001b[31m[MASK]" };
const fill: Result = {
  task: "fill-mask",
  item: { ...item, pair: "[MASK]\nx" },
  tokens: 9,
  dropped: 2,
  masks: [
    {
      position: 4,
      top: [
        { id: 7, token: "dog", probability: 0.51234567 },
        { id: 8, token: "##s", probability: 0.25 },
      ],
    },
    {
      position: 6,
      top: [
        { id: 9, token: "cat", probability: 1e-7 },
        { id: 7, token: "dog", probability: 0 },
      ],
    },
  ],
  filled: "one\ttwo \u001b[31mdog",
  filledPair: "cat\nx",
};
const bare: Result = {
  task: "fill-mask",
  item: { line: 1, text: "", ids: Int32Array.of(4) },
  tokens: 1,
  dropped: 0,
  masks: [{ position: 0, top: [{ id: 7, probability: 0.5 }] }],
};
const classified: Result = {
  task: "classify",
  item: { line: 1, text: "fine" },
  tokens: 4,
  dropped: 0,
  label: "good",
  probability: 0.75,
  scores: [
    { label: "bad", probability: 0.25, logit: Math.fround(-0.1) },
    { label: "good", probability: 0.75, logit: 1 },
  ],
};
const scored: Result = {
  task: "regress",
  item: { line: 2, id: 0, text: "a", pair: "b" },
  tokens: 4,
  dropped: 0,
  score: Math.fround(2.9270001),
  logit: Math.fround(2.9270001),
};
const embedded: Result = {
  task: "embed",
  item: { line: 1, text: "fine" },
  tokens: 4,
  dropped: 0,
  vector: Float32Array.of(0.1, -2, 3, 4, 5, 6, 7),
};

function write(format: Format, results: Result[], options = {}): string {
  const { head, record, tail } = exporter(format, options);
  return head + results.map(record).join("") + tail;
}

describe("tsv", () => {
  test("a row for each candidate, nothing that would break a row or steer a terminal", () => {
    const texts = "one two  [31mdog\tcat x";
    expect(write("tsv", [fill])).toBe(
      [
        `a b\t1\t1\tdog\t0.512346\t${texts}`,
        `a b\t1\t2\t##s\t0.25\t${texts}`,
        `a b\t2\t1\tcat\t1e-7\t${texts}`,
        `a b\t2\t2\tdog\t0\t${texts}`,
        "",
      ].join("\n"),
    );
    expect(write("tsv", [bare])).toBe("1\t1\t1\t7\t0.5\n");
  });

  test("labels, scores and vectors in a row each", () => {
    expect(write("tsv", [classified, scored, embedded])).toBe(
      "1\tgood\t0.75\t0.25\t0.75\n0\t2.92700005\n1\t0.100000001\t-2\t3\t4\t5\t6\t7\n",
    );
  });

  test("several labels stand in one column", () => {
    const several = { ...classified, labels: ["bad", "good"] };
    expect(write("tsv", [several, { ...several, labels: [] }])).toBe(
      "1\tbad;good\t0.75\t0.25\t0.75\n1\t\t0.75\t0.25\t0.75\n",
    );
    expect(JSON.parse(write("jsonl", [several]))).toMatchObject({ label: "good", labels: ["bad", "good"] });
  });
});

describe("json", () => {
  const objects = [
    {
      line: 3,
      id: "a\tb",
      text: item.text,
      text_pair: "[MASK]\nx",
      tokens: 9,
      truncated: 2,
      masks: [
        {
          position: 4,
          top: [
            { token: "dog", id: 7, p: 0.512346 },
            { token: "##s", id: 8, p: 0.25 },
          ],
        },
        {
          position: 6,
          top: [
            { token: "cat", id: 9, p: 1e-7 },
            { token: "dog", id: 7, p: 0 },
          ],
        },
      ],
      filled: fill.filled,
      filled_pair: fill.filledPair,
    },
    { line: 1, tokens: 1, masks: [{ position: 0, top: [{ id: 7, p: 0.5 }] }] },
    {
      line: 1,
      text: "fine",
      tokens: 4,
      label: "good",
      p: 0.75,
      scores: [
        { label: "bad", p: 0.25, logit: -0.100000001 },
        { label: "good", p: 0.75, logit: 1 },
      ],
    },
    { line: 2, id: 0, text: "a", text_pair: "b", tokens: 4, score: 2.92700005 },
    { line: 1, text: "fine", tokens: 4, vector: [0.100000001, -2, 3, 4, 5, 6, 7] },
  ];
  const all = [fill, bare, classified, scored, embedded];

  test("lines are the documented objects", () => {
    const lines = write("jsonl", all).split("\n");
    expect(lines.pop()).toBe("");
    expect(lines.map((line) => JSON.parse(line))).toEqual(objects);
  });

  test("one document is an array of the same objects, also of none and one", () => {
    for (const count of [0, 1, all.length]) {
      expect(JSON.parse(write("json", all.slice(0, count)))).toEqual(objects.slice(0, count));
    }
  });

  test("f32 numbers survive", () => {
    const vector = Float32Array.from({ length: 200 }, (_, i) => Math.sin(i) * 10 ** ((i % 20) - 10));
    const { vector: read } = JSON.parse(write("jsonl", [{ ...embedded, vector }])) as { vector: number[] };
    expect(Float32Array.from(read)).toEqual(vector);
  });
});

describe("human", () => {
  test("the filled text, and bars", () => {
    expect(write("human", [fill])).toBe(
      [
        "one two \\u001b[31mdog / cat x",
        "  mask 1",
        "  dog  51.2% ██████████",
        "  ##s  25.0% █████",
        "  mask 2",
        "  cat   0.0%",
        "  dog   0.0%",
        "",
      ].join("\n"),
    );
    expect(write("human", [bare])).toBe("line 1\n  7  50.0% ██████████\n");
  });

  test("labels best first, scores, the start of a vector", () => {
    expect(write("human", [classified])).toBe("fine\n  good  75.0% ███████████████\n  bad   25.0% █████\n");
    expect(write("human", [scored])).toBe("a / b\n  2.927\n");
    expect(write("human", [embedded])).toBe(
      "fine\n  0.1000 -2.0000 3.0000 4.0000 5.0000 6.0000 … 7 numbers; --jsonl shows all\n",
    );
  });

  test("colours only where asked for", () => {
    expect(write("human", [scored], { colour: true })).toStartWith("\u001b[1ma / b\u001b[22m\n");
    expect(write("human", [fill, classified, scored, embedded])).not.toContain("\u001b");
  });
});
