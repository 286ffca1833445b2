/** The house's plan: each room of lib/ holds one stage, and imports only from the rooms before it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** In the order in which they may import: each from those before it, and from itself. */
const ROOMS = [
  "lib/base", // files, JSON, text for people
  "lib/rows", // tables of rows: CSV, TSV, JSON lines, Parquet
  "ffi", // the engine
  "lib/hub", // downloads and their cache
  "lib/files", // safetensors, pickles, packed files
  "lib/text", // input, tokenizer, batches
  "lib/model", // config, families, roles of tensors
  "lib/run", // contexts, heads, output
  "lib/convert", // checkpoint to packed file and back
  "lib/data", // tasks and readers of their files
  "lib/eval", // metrics, GLUE, verify, inspect
  "lib/train", // training
  "lib/distil", // smaller models from larger ones
  "lib/prune", // models without what matters least
  "lib/bench", // layers and encoders against the best dense ones
  "lib/ladder", // ways to make a classifier cheaper, each measured
  "lib/lab", // experiments: models trained alike
  "cmd", // commands
];

/** Rooms that stand on their own: they know nothing of models and of the engine. */
const ALONE: Readonly<Record<string, readonly string[]>> = {
  ffi: ["lib/base"],
  "lib/hub": ["lib/base"],
  "lib/rows": ["lib/base"],
  "lib/text": ["lib/base", "lib/rows"],
};

const root = join(import.meta.dir, "..");
const files = [...new Bun.Glob("{lib,ffi,cmd}/**/*.ts").scanSync(root)].sort();
const roomOf = (file: string) => ROOMS.find((room) => file.startsWith(`${room}/`));

/** What each file imports, types included. */
const imports = new Map(
  files.map((file) => {
    const text = readFileSync(join(root, file), "utf8");
    const found = text.matchAll(/(?:\bfrom|\bimport\(?)\s*"(\.[^"]+)"/g);
    const paths = Array.from(found, ([, path]) => relative(root, join(root, dirname(file), path!)));
    return [file, [...new Set(paths)]] as const;
  }),
);

/** Tests are free: many hold one stage against a later one. */
const product = [...imports].filter(([file]) => !file.endsWith(".test.ts"));

test("there are files in rooms, and they import each other", () => {
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => roomOf(file) === undefined)).toEqual([]);
  expect(imports.get("lib/base/write.ts")).toContain("lib/base/errors.ts");
  expect(imports.get("cmd/main.ts")).toContain("cmd/infer.ts");
});

test("a room imports only from those before it", () => {
  const wrong = product.flatMap(([file, paths]) => {
    const room = roomOf(file)!;
    const before = ALONE[room] ?? ROOMS.slice(0, ROOMS.indexOf(room));
    const allowed = [...before, room, "fixtures", "package.json"];
    return paths
      .filter((path) => !allowed.some((one) => path === one || path.startsWith(`${one}/`)))
      .map((path) => `${file} -> ${path}`);
  });
  expect(wrong).toEqual([]);
});

/** Nodes that can be reached from themselves, with the way back. */
function cycles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  for (const start of edges.keys()) {
    const from = new Map<string, string>();
    const queue = [start];
    for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
      for (const next of edges.get(node) ?? []) {
        if (from.has(next)) continue;
        from.set(next, node);
        queue.push(next);
      }
    }
    if (!from.has(start)) continue;
    const way = [start];
    do way.unshift(from.get(way[0]!)!);
    while (way[0] !== start);
    found.push(way.join(" -> "));
  }
  return found;
}

test("no file imports itself by way of others", () => {
  expect(cycles(new Map(product))).toEqual([]);
});

test("no folder imports itself by way of others", () => {
  const folders = Map.groupBy(product, ([file]) => dirname(file));
  const edges = [...folders].map(([folder, members]) => {
    const others = members.flatMap(([, paths]) => paths.map((path) => dirname(path)));
    return [folder, [...new Set(others)].filter((other) => other !== folder)] as const;
  });
  expect(cycles(new Map(edges))).toEqual([]);
});

test("cycles are found", () => {
  const edges = { a: ["b"], b: ["c"], c: ["b"], d: ["d", "a"] };
  expect(cycles(new Map(Object.entries(edges)))).toEqual(["b -> c -> b", "c -> b -> c", "d -> d"]);
});

test("the README names the rooms in this order", () => {
  const [row] = readFileSync(join(root, "README.md"), "utf8").match(/^\| `lib\/` .*$/m)!;
  const named = Array.from(row.matchAll(/`(\w+)`/g), ([, name]) => `lib/${name}`);
  expect(named).toEqual(ROOMS.filter((room) => room.startsWith("lib/")));
});
