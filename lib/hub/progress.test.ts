import { expect, test } from "bun:test";
import type { HubFile } from "./listing.ts";
import { Progress } from "./progress.ts";

const file = (path: string, size: number): HubFile => ({
  path,
  size,
  digest: { algorithm: "sha256", hex: "" },
});

/** What a terminal shows after `text`: only "up N lines" and "clear below" are understood. */
function screen(text: string): string[] {
  const lines: string[] = [""];
  for (const token of text.split(/(\x1b\[\d*[A-Z]|\n)/)) {
    const up = /^\x1b\[(\d+)A$/.exec(token);
    if (up) lines.splice(lines.length - 1 - Number(up[1]), Number(up[1]));
    else if (token === "\n") lines.push("");
    else if (token !== "\x1b[J") lines[lines.length - 1] += token;
  }
  return lines.slice(0, -1);
}

function watch(columns: number | undefined) {
  let now = 0;
  let text = "";
  const progress = new Progress({ write: (part) => (text += part), columns, now: () => now });
  return {
    at: (ms: number, event: Parameters<Progress["show"]>[0]) => {
      now = ms;
      progress.show(event);
    },
    clear: () => progress.clear(),
    lines: () => screen(text),
    text: () => text,
  };
}

test("a terminal shows a bar for each file with rate and time left; a line stays when it is done", () => {
  const show = watch(100);
  const [a, b] = [file("model.safetensors", 755_000_000), file("config.json", 3)];
  show.at(0, { kind: "bytes", file: a, bytes: 0 });
  show.at(500, { kind: "bytes", file: b, bytes: 0 });
  show.at(2000, { kind: "bytes", file: a, bytes: 151_000_000 });
  expect(show.lines()).toHaveLength(2);
  expect(show.lines()[0]).toMatch(/^model\.safetensors +█+░+ {2}151 MB of 755 MB, 75\.5 MB\/s, 8 s left$/);
  expect(show.lines()[1]).toMatch(/^config\.json /);
  show.at(2050, { kind: "bytes", file: b, bytes: 3 });
  expect(show.lines()[1]).toMatch(/^config\.json +█+ {2}3 B, checking$/);
  show.at(2200, { kind: "done", file: b });
  expect(show.lines()[0]).toBe("config.json  3 B, 2 B/s");
  expect(show.lines()).toHaveLength(2);
  show.at(2300, { kind: "wait", reason: "host answers with error 500", ms: 1500 });
  expect(show.lines()[1]).toBe("host answers with error 500; trying again in 2 s");
  show.clear();
  expect(show.lines()).toHaveLength(2);
});

test.each([20, 40, 80, 200])("no bar is wider than %i columns", (columns) => {
  const show = watch(columns);
  const long = file(`folder/${"long".repeat(30)}.bin`, 2 ** 40);
  show.at(0, { kind: "bytes", file: long, bytes: 0 });
  show.at(5000, { kind: "bytes", file: long, bytes: 12_345_678 });
  for (const line of show.lines()) expect(Bun.stringWidth(line)).toBeLessThan(columns);
});

test("elsewhere plain lines come now and then, without control characters", () => {
  const show = watch(undefined);
  const a = file("a.bin", 1_000_000);
  for (let second = 0; second <= 40; second++)
    show.at(second * 1000, { kind: "bytes", file: a, bytes: second * 10_000 });
  show.at(50_000, { kind: "done", file: a });
  expect(show.text()).toBe(
    [
      "a.bin  150 kB of 1.0 MB, 10.0 kB/s, 85 s left",
      "a.bin  300 kB of 1.0 MB, 10.0 kB/s, 70 s left",
      "a.bin  1.0 MB, 20.0 kB/s",
      "",
    ].join("\n"),
  );
});

test("starting over does not make the rate negative; resumed bytes do not count as fetched", () => {
  const show = watch(undefined);
  const a = file("a.bin", 1000);
  show.at(0, { kind: "bytes", file: a, bytes: 900 });
  show.at(1000, { kind: "bytes", file: a, bytes: 0 });
  show.at(20_000, { kind: "bytes", file: a, bytes: 500 });
  expect(show.text()).toBe("a.bin  500 B of 1.0 kB, 26 B/s, 19 s left\n");
  const b = file("b.bin", 1000);
  show.at(20_000, { kind: "bytes", file: b, bytes: 900 });
  show.at(21_000, { kind: "done", file: b });
  expect(show.text()).toEndWith("b.bin  1.0 kB, 100 B/s\n");
});
