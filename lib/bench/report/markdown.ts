/**
 * Records for a document: of layers a matrix of all contenders and cases, then each case in full, the fastest first; of models a table.
 */
import type { BenchRecord } from "../measure/record.ts";
import { caseName, contenderName, type Table, TEXTS, tables, timePerToken, times } from "./table.ts";

export function toMarkdown(records: readonly BenchRecord[]): string {
  const isLayer = ({ kind }: BenchRecord) => kind === "layer";
  const shown = tables(records).map((table) => write(table));
  if (!records.every(isLayer)) return shown.join("\n");
  const cases = [...Map.groupBy(records, (record) => `${record.case_shape}, ${caseName(record)}`)].map(
    ([name, some]) => {
      const sorted = some.toSorted(
        (a, b) => Number(b.trees > 0) - Number(a.trees > 0) || a.seconds_per_token - b.seconds_per_token,
      );
      return `#### ${name}\n\n${tables(sorted)
        .map((table) => write(table))
        .join("\n")}`;
    },
  );
  return cases.length > 1 ? [...matrices(records), ...cases].join("\n") : shown.join("\n");
}

function write({ head, rows }: Pick<Table, "head" | "rows">, texts = TEXTS): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `|${head.map((_, i) => (i < texts ? "---" : "---:")).join("|")}|`;
  return `${[line(head), rule, ...rows.map(line)].join("\n")}\n`;
}

/** What the columns of a matrix have in common. */
const groupOf = ({ case_shape, hidden, threads, device, paths, machine }: BenchRecord) =>
  [
    `${case_shape}, hidden ${hidden}`,
    device ?? machine.cpu,
    threads === null ? "" : `${threads} thread${threads === 1 ? "" : "s"}`,
    `${paths} paths`,
  ]
    .filter((part) => part !== "")
    .join("; ");

const columnOf = ({ batch, cache }: BenchRecord) => (cache === "warm" ? `${batch}` : `${batch} ${cache}`);

/** A table for each shape, with a row for each contender and a column for each batch and state of the caches. */
function matrices(records: readonly BenchRecord[]): string[] {
  return [...Map.groupBy(records, groupOf)].map(([name, group]) => {
    const columns = Map.groupBy(group, columnOf);
    const nameRow = rowNamer(group);
    const rows = [...Map.groupBy(group, nameRow)].map(([name, cells]) => ({ name, cells }));
    const fastest = new Map([...columns].map(([column, cells]) => [column, least(cells)]));
    // Sorted by the mean over the columns that a row has.
    const rank = ({ cells }: { cells: BenchRecord[] }) =>
      cells.reduce((sum, one) => sum + Math.log(one.seconds_per_token / fastest.get(columnOf(one))!), 0) /
      cells.length;
    const isDense = ({ cells }: { cells: BenchRecord[] }) => Number(cells[0]!.trees === 0);
    rows.sort((a, b) => isDense(a) - isDense(b) || rank(a) - rank(b));
    const table = {
      head: ["contender", ...columns.keys()],
      rows: rows.map(({ name, cells }) => [
        name,
        ...[...columns].map(([column, all]) =>
          cellText(
            cells.find((one) => columnOf(one) === column),
            all,
          ),
        ),
      ]),
    };
    return `${name}. Time per token and, of trees, times as fast as the fastest dense contender of the column with as many neurons (bold).\n\n${write(table, 1)}`;
  });
}

const least = (records: readonly BenchRecord[]) =>
  Math.min(...records.map(({ seconds_per_token }) => seconds_per_token));

function cellText(record: BenchRecord | undefined, column: readonly BenchRecord[]): string {
  if (!record) return "";
  const text = [timePerToken(record), times(record.speedup_fastest_dense)].filter((part) => part !== "");
  return isBest(record, column) ? `**${text.join(", ")}**` : text.join(", ");
}

/** Whether a dense contender is what others of its column are held against, or one of trees is the fastest. */
function isBest(record: BenchRecord, column: readonly BenchRecord[]): boolean {
  const fff = column.filter(({ trees }) => trees > 0);
  if (record.trees > 0) return record.seconds_per_token === least(fff);
  return fff.some(({ seconds_per_token: time, speedup_fastest_dense: speedup }) => {
    const baseline = time * (speedup ?? Number.NaN);
    return Math.abs(record.seconds_per_token / baseline - 1) < 1e-9;
  });
}

/** Names rows: a contender that each case has with its fastest BLAS alone is named without it. */
function rowNamer(records: readonly BenchRecord[]): (record: BenchRecord) => string {
  const base = (record: BenchRecord) => {
    const who = record.trees > 0 ? record.contender : record.contender.replace(/^dense /, "");
    return contenderName({
      ...record,
      blas: null,
      contender: record.trees > 0 ? who : `${record.shape} ${who}`,
    });
  };
  const several = new Set<string>();
  for (const some of Map.groupBy(records, (record) => `${columnOf(record)}\n${base(record)}`).values())
    if (some.length > 1) several.add(base(some[0]!));
  return (record) => {
    const name = base(record);
    return record.blas === null || !several.has(name) ? name : `${name}, ${record.blas}`;
  };
}
