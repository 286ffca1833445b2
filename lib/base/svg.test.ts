import { expect, test } from "bun:test";
import fc from "fast-check";
import { collisions, textBoxes } from "../../testing/svg.ts";
import { fitText, spread, svgDocument, text, textWidth } from "./svg.ts";

test("labels stand where they are wanted, unless they would overlap", () => {
  expect(
    spread(
      [
        { at: 50, size: 10 },
        { at: 10, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([50, 10]);
  expect(
    spread(
      [
        { at: 50, size: 10 },
        { at: 52, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([46, 56]);
  expect(
    spread(
      [
        { at: 0, size: 10 },
        { at: 99, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([5, 95]);
});

test("labels never overlap, keep their order, and stay inside while they fit", () => {
  const label = fc.record({ at: fc.integer({ min: -50, max: 250 }), size: fc.integer({ min: 1, max: 40 }) });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 20 }), (labels) => {
      const total = labels.reduce((sum, { size }) => sum + size, 0);
      const centres = spread(labels, 0, 200);
      const placed = labels.map(({ at, size }, i) => ({
        at,
        left: centres[i]! - size / 2,
        right: centres[i]! + size / 2,
      }));
      const sorted = placed.toSorted((a, b) => a.left - b.left);
      for (const [i, one] of sorted.entries()) {
        if (i > 0) {
          expect(one.left).toBeGreaterThanOrEqual(sorted[i - 1]!.right - 1e-6);
          expect(one.at).toBeGreaterThanOrEqual(sorted[i - 1]!.at);
        }
        if (total <= 200) {
          expect(one.left).toBeGreaterThanOrEqual(-1e-6);
          expect(one.right).toBeLessThanOrEqual(200 + 1e-6);
        }
      }
    }),
  );
});

test("texts are cut to a width, and nothing in them is markup", () => {
  expect(fitText("short\n text", 500, "label")).toBe("short text");
  const cut = fitText("a text that is too long", 60, "label");
  expect(cut).toEndWith("…");
  expect(textWidth(cut, "label")).toBeLessThanOrEqual(60);
  expect(text(1, 2, '<a & "b"\u0007>', "tick", { anchor: "end", series: 1 })).toBe(
    '<text class="tick f1" x="1" y="2" text-anchor="end">&lt;a &amp; &quot;b&quot; ></text>',
  );
});

test("texts that collide are found", () => {
  const picture = (...body: string[]) => svgDocument(200, 100, "t", body);
  const apart = picture(
    text(10, 20, "one", "label"),
    `<g transform="translate(0 40)">${text(10, 20, "two", "label")}</g>`,
  );
  expect(textBoxes(apart).map(({ text, left }) => [text, left])).toEqual([
    ["one", 10],
    ["two", 10],
  ]);
  expect(collisions(apart)).toEqual([]);
  expect(collisions(picture(text(10, 20, "one", "label"), text(20, 24, "two", "label")))).toEqual([
    '"one" and "two"',
  ]);
  expect(collisions(picture(text(195, 20, "one", "label")))).toEqual(['"one" leaves the picture']);
});
