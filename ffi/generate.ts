#!/usr/bin/env bun
/**
 * Writes ffi/bindings.ts and ffi/cuda-bindings.ts from the libraries' headers: constants, structs, prototypes and their TypeScript types.
 * Run `bun ffi/generate.ts` after a change of a header; a test compares. It reads the plain C of those headers and nothing more: a line
 * that it does not understand is an error, so that nothing can be left out silently.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface Field {
  type: string;
  /** Whether it is an array of the caller's, which the library reads. */
  pointer: boolean;
  name: string;
  length: number;
  doc: string;
}

interface Parameter {
  type: string;
  pointers: number;
  constant: boolean;
  name: string;
}

/** A constant, and the other columns of its line. */
type Row = { value: string } & Record<string, string>;

type Declaration =
  | { kind: "constant"; name: string; value: number; heading: string; doc: string }
  | { kind: "list"; name: string; rows: Row[]; doc: string }
  | { kind: "opaque"; name: string }
  | { kind: "struct"; name: string; fields: Field[]; doc: string }
  | { kind: "function"; name: string; result: string; parameters: Parameter[]; source: string; doc: string };

const SCALARS: Readonly<Record<string, string>> = {
  int32_t: "number",
  int64_t: "number",
  uint64_t: "number",
  double: "number",
};

const ARRAYS: Readonly<Record<string, string>> = {
  int32_t: "Int32Array",
  int64_t: "BigInt64Array",
  float: "Float32Array",
  double: "Float64Array",
  void: "ArrayBufferView",
};

const COMMENT = String.raw`/\*(?:(?!\*/)[\s\S])*\*/`;
const FORMS: readonly [RegExp, (match: string[], doc: string) => Declaration | Declaration[]][] = [
  [/^#define (UFFB_\w+) (\d+)(?: *(\/\*.*\*\/))?\n/, constant],
  [
    /^enum \{\n#define (UFFB_\w+)\(CONSTANT, ([\w, ]+)\) UFFB_##CONSTANT,\n([\s\S]*?)#undef \1\n +(UFFB_\w+)\n\};\n/,
    list,
  ],
  [/^typedef struct (\w+) \{\n([\s\S]*?)\n\} \1;\n/, struct],
  [/^typedef struct (\w+) \1;\n/, ([, name]) => ({ kind: "opaque", name: name! })],
  [/^UFFB_API ([^;]*?)(\w+)\(([^)]*)\);\n/, fn],
  [/^(?:#ifndef UFFB_\w*H|#define UFFB_\w*H|#endif|#include .*|#define UFFB_API .*)\n/, () => []],
  [/^#ifdef __cplusplus\n[\s\S]*?#endif\n/, () => []],
];

/** Reads the header's declarations in order, each with the comment that stands right before it. */
export function readHeader(header: string): Declaration[] {
  const comment = new RegExp(`^${COMMENT}[ \t]*\n`);
  const declarations: Declaration[] = [];
  let rest = header;
  let doc = "";
  while (rest !== "") {
    const blank = /^[ \t]*\n/.exec(rest);
    const said = blank ? null : comment.exec(rest);
    if (blank) doc = "";
    if (said) doc = text(said[0]);
    let length = (blank ?? said)?.[0].length ?? 0;
    for (const [form, make] of length > 0 ? [] : FORMS) {
      const match = form.exec(rest);
      if (!match) continue;
      declarations.push(...[make(match, doc)].flat());
      doc = "";
      length = match[0].length;
      break;
    }
    if (length === 0) throw new Error(`uffb.h: not understood: ${rest.slice(0, rest.indexOf("\n"))}`);
    rest = rest.slice(length);
  }
  return declarations;
}

function text(comment: string | undefined): string {
  if (comment === undefined) return "";
  return comment
    .trim()
    .replace(/^\/\*\s*|\s*\*\/$/g, "")
    .replace(/\s*\n\s*\*?\s*/g, " ");
}

function constant([, name, value, comment]: string[], doc: string): Declaration {
  return { kind: "constant", name: name!, value: Number(value), heading: doc, doc: text(comment) };
}

/** An enum whose members stand in an .inc file: a constant a line, how many there are, and what else the lines say. */
function list([, macro, columns, body, count]: string[], doc: string): Declaration[] {
  const line = new RegExp(`^${macro}\\((\\w+), (.*)\\)(?: *(/\\*.*\\*/))?$`);
  const names = columns!.split(", ");
  const constants: Declaration[] = [];
  const rows: Row[] = [];
  for (const source of body!
    .replace(new RegExp(`^${COMMENT}\n`), "")
    .trimEnd()
    .split("\n")) {
    const [, name, values, comment] = line.exec(source) ?? [];
    const fields = values?.split(", ").map((value) => value.replaceAll('"', ""));
    if (fields?.length !== names.length)
      throw new Error(`uffb.h: line of ${macro} not understood: ${source}`);
    const heading = rows.length === 0 ? doc : "";
    constants.push({
      kind: "constant",
      name: `UFFB_${name}`,
      value: rows.length,
      heading,
      doc: text(comment),
    });
    rows.push({
      value: `UFFB_${name}`,
      ...Object.fromEntries(names.map((column, i) => [column, fields[i]!])),
    });
  }
  constants.push({ kind: "constant", name: count!, value: rows.length, heading: "", doc: "" });
  return [...constants, { kind: "list", name: `${macro!.replace("UFFB_", "")}S`, rows, doc }];
}

function struct([, name, body]: string[], doc: string): Declaration {
  const fields = body!.split("\n").map((line): Field => {
    const match = /^ +(?:const (\w+) \*|(\w+) )(\w+)(?:\[(\d+)\])?;(?: *(\/\*.*\*\/))?$/.exec(line);
    const [, array, scalar, field, length, comment] = match ?? [];
    const type = array ?? scalar ?? "";
    const single = array === undefined ? type in SCALARS : type in ARRAYS;
    if (length === undefined ? !single : scalar !== "char") {
      throw new Error(`uffb.h: field of ${name} not understood: ${line}`);
    }
    return {
      type,
      pointer: array !== undefined,
      name: field!,
      length: Number(length ?? 0),
      doc: text(comment),
    };
  });
  return { kind: "struct", name: name!, fields, doc };
}

function fn([, result, name, list]: string[], doc: string): Declaration {
  const joined = list!.replace(/\s+/g, " ").trim();
  const parameters = joined === "void" ? [] : joined.split(", ").map((one) => parameter(name!, one));
  const source = `${result!.trim()}${result!.endsWith("*") ? "" : " "}${name}(${joined})`;
  return { kind: "function", name: name!, result: result!.trim(), parameters, source, doc };
}

function parameter(owner: string, source: string): Parameter {
  const [, constant, type, stars, name] = /^(const )?(\w+) (\**)(\w+)$/.exec(source) ?? [];
  if (type === undefined) throw new Error(`uffb.h: parameter of ${owner} not understood: ${source}`);
  return { type, pointers: stars!.length, constant: constant !== undefined, name: name! };
}

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const pascal = (name: string) => camel(name.replace(/^uffb/, ""));
const quote = (words: string) => JSON.stringify(words);

/** What else a file of bindings is made of. */
interface Setting {
  /** Where the header comes from, for the first line. */
  origin: string;
  /** Handles of another header's. */
  opaque?: readonly string[];
}

/** The text of a file of bindings for a header. */
export function generate(header: string, { origin, opaque: others }: Setting = ENGINE): string {
  const declarations = readHeader(header);
  const of = <K extends Declaration["kind"]>(kind: K) =>
    declarations.filter((one): one is Extract<Declaration, { kind: K }> => one.kind === kind);
  const structs = of("struct");
  const opaque = of("opaque").map(({ name }) => name);
  const handles = [...opaque, ...(others ?? [])];
  const types = new Map(structs.map(({ name }) => [name, pascal(name)]));

  const typeOf = (owner: string, { type, pointers, constant }: Parameter): string => {
    const array = ARRAYS[type];
    if (pointers === 0 && type in SCALARS) return SCALARS[type]!;
    if (pointers === 1 && type === "char" && constant) return "string | null";
    if (pointers === 1 && handles.includes(type)) return "Handle | null";
    if (pointers === 2 && handles.includes(type) && !constant) return "[Handle | null]";
    if (pointers === 1 && types.has(type))
      return constant ? types.get(type)! : `Partial<${types.get(type)!}>`;
    if (pointers === 1 && array !== undefined) return `${array} | null`;
    throw new Error(
      `uffb.h: no TypeScript type for a parameter of ${owner}: ${type} with ${pointers} pointers`,
    );
  };
  const resultOf = (owner: string, result: string): string => {
    const type = { void: "void", "const char *": "string" }[result] ?? SCALARS[result];
    if (type === undefined)
      throw new Error(`uffb.h: no TypeScript type for the result of ${owner}: ${result}`);
    return type;
  };

  const out: string[] = [`// Generated from ${origin} by \`bun ffi/generate.ts\`; do not edit.`, ""];
  if (others === undefined) {
    out.push("/** An opaque pointer of the library. */");
    out.push("export type Handle = bigint & { readonly handle: unique symbol };");
  } else out.push('import type { Handle } from "./bindings.ts";');
  for (const { name, value, heading, doc } of of("constant")) {
    if (heading !== "") out.push("", ...wrap(heading, "// "));
    if (doc !== "") out.push(...docstring(doc, ""));
    out.push(`export const ${name} = ${value};`);
  }
  for (const { name, rows, doc } of of("list")) {
    out.push("", ...docstring(doc, ""), `export const ${name} = [`);
    for (const { value, ...columns } of rows) {
      const fields = Object.entries(columns).map(([column, words]) => `${column}: ${quote(words)}`);
      const members = [`value: ${value}`, ...fields];
      const line = `  { ${members.join(", ")} },`;
      out.push(...(line.length > WIDTH ? ["  {", ...members.map((one) => `    ${one},`), "  },"] : [line]));
    }
    out.push("] as const;");
  }
  for (const { name, fields, doc } of structs) {
    out.push("", ...(doc === "" ? [] : docstring(doc, "")), `export interface ${pascal(name)} {`);
    for (const field of fields) {
      if (field.doc !== "") out.push(...docstring(field.doc, "  "));
      const plain = field.length > 0 ? "string" : SCALARS[field.type];
      out.push(`  ${camel(field.name)}: ${field.pointer ? `${ARRAYS[field.type]} | null` : plain};`);
    }
    out.push("}");
  }
  out.push("", "/** Members of each struct, in order, with their C types. */", "export const STRUCTS = {");
  for (const { name, fields } of structs) {
    out.push(`  ${name}: {`);
    for (const { name: field, type, pointer, length } of fields) {
      out.push(
        `    ${camel(field)}: ${quote(pointer ? `${type} *` : length > 0 ? `${type}[${length}]` : type)},`,
      );
    }
    out.push("  },");
  }
  const names = `export const OPAQUE = [${opaque.map(quote).join(", ")}] as const;`;
  const lines = ["export const OPAQUE = [", ...opaque.map((name) => `  ${quote(name)},`), "] as const;"];
  out.push("} as const;", "", ...(names.length > WIDTH ? lines : [names]));
  out.push(
    "",
    "/** Prototypes as koffi reads them: `_Out_` marks what the library writes. */",
    "export const PROTOTYPES = {",
  );
  for (const { name, source } of of("function")) {
    const directed = source.replace(/\b(?<!const )(uffb_\w+) \*\*?(?=\w+[,)])/g, (match, type: string) => {
      const written = match.endsWith("**") || types.has(type);
      return written ? `_Out_ ${match}` : match;
    });
    const line = `  ${name}: ${quote(directed)},`;
    out.push(...(line.length > WIDTH ? [`  ${name}:`, `    ${quote(directed)},`] : [line]));
  }
  out.push("} as const;", "", "/** The library's functions. */", "export interface Functions {");
  for (const { name, parameters, result, doc } of of("function")) {
    if (doc !== "") out.push(...docstring(doc, "  "));
    const list = parameters.map((one) => `${camel(one.name)}: ${typeOf(name, one)}`);
    const line = `  ${name}(${list.join(", ")}): ${resultOf(name, result)};`;
    if (line.length <= WIDTH) out.push(line);
    else out.push(`  ${name}(`, ...list.map((one) => `    ${one},`), `  ): ${resultOf(name, result)};`);
  }
  out.push("}", "");
  return out.join("\n");
}

const WIDTH = 110;

/** A comment of the header as a docstring. */
function docstring(words: string, indent: string): string[] {
  const single = `${indent}/** ${words} */`;
  return single.length <= WIDTH ? [single] : [`${indent}/**`, ...wrap(words, `${indent} * `), `${indent} */`];
}

/** Lines of at most WIDTH characters, each after `prefix`. */
function wrap(words: string, prefix: string): string[] {
  const lines = [""];
  for (const word of words.split(" ")) {
    const last = lines.at(-1)!;
    if (last === "") lines[lines.length - 1] = prefix + word;
    else if (last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] += ` ${word}`;
    else lines.push(prefix + word);
  }
  return lines;
}

/** The text of headers, one after the other, with that of the .inc files they include. */
function read(...paths: string[]): string {
  const file = (path: string) => readFileSync(new URL(`../kernels/${path}`, import.meta.url), "utf8");
  return paths
    .map((path) => file(path).replace(/^#include "(.*\.inc)"\n/gm, (_, list: string) => file(list)))
    .join("");
}

const ENGINE: Setting = { origin: "kernels/uffb.h, kernels/uffb_train.h and kernels/bench/bench.h" };
const CUDA: Setting = { origin: "kernels/cuda/uffb_cuda.h", opaque: ["uffb_model"] };

/** The files of bindings: the text of each one's headers, and how it is made. */
export const FILES = {
  "bindings.ts": { header: read("uffb.h", "uffb_train.h", "bench/bench.h"), setting: ENGINE },
  "cuda-bindings.ts": { header: read("cuda/uffb_cuda.h"), setting: CUDA },
} as const satisfies Record<string, { header: string; setting: Setting }>;

if (import.meta.main) {
  for (const [name, { header, setting }] of Object.entries(FILES))
    writeFileSync(new URL(`./${name}`, import.meta.url), generate(header, setting));
}
