import { UsageError } from "../base/errors.ts";
import type { HubFile } from "./listing.ts";
import type { RepoType } from "./names.ts";

export interface Selection {
  chosen: HubFile[];
  /** What the defaults left out, and why. What the user's own patterns exclude is not listed. */
  leftOut: { what: string; files: HubFile[] }[];
}

/** Copies of the weights in formats that uffb does not read, by what they are; see also `replacedBySafetensors`. */
const NOT_NEEDED: [what: string, patterns: string[]][] = [
  ["ONNX", ["onnx/*", "*.onnx", "*.onnx_data"]],
  [
    "OpenVINO",
    [
      "openvino/*",
      "*openvino_model.xml",
      "*openvino_model.bin",
      "*openvino_model_*.xml",
      "*openvino_model_*.bin",
    ],
  ],
  [
    "TensorFlow",
    ["*.h5", "*.tflite", "saved_model/*", "*/saved_model/*", "*.ckpt.index", "*.ckpt.data-*", "*.ckpt.meta"],
  ],
  ["Flax", ["*.msgpack", "flax_model.msgpack.index.json"]],
  ["Rust", ["*.ot"]],
  ["Core ML", ["coreml/*", "*.mlmodel", "*.mlpackage/*"]],
  [
    "training state",
    ["*optimizer.pt", "*scheduler.pt", "*rng_state*.pth", "*training_args.bin", "runs/*", "*.tfevents.*"],
  ],
];

/**
 * Chooses the files to download. Without `include`, a model's copies in other formats stay where they are; a data set comes
 * whole. Patterns are those of huggingface_hub: `*` also matches `/`, and `folder/` means all in it.
 */
export function selectFiles(
  files: HubFile[],
  type: RepoType,
  include: string[],
  exclude: string[],
): Selection {
  const wanted = new Set(
    selectPaths(
      files.map(({ path }) => path),
      include,
      exclude,
    ),
  );
  let chosen = files.filter(({ path }) => wanted.has(path));
  if (include.length > 0) return { chosen, leftOut: [] };
  const leftOut: Selection["leftOut"] = [];
  const leave = (what: string, unwanted: (path: string) => boolean) => {
    const out = chosen.filter(({ path }) => unwanted(path));
    if (out.length === 0) return;
    chosen = chosen.filter(({ path }) => !unwanted(path));
    leftOut.push({ what, files: out });
  };
  if (type === "model") {
    for (const [what, patterns] of NOT_NEEDED) {
      const compiled = patterns.map(compile);
      leave(what, (path) => compiled.some((pattern) => pattern.test(path)));
    }
    leave("the same weights as a pickle", replacedBySafetensors(chosen));
  }
  return { chosen, leftOut };
}

/** The paths that match a pattern of `include` (all when it is empty) and none of `exclude`. */
export function selectPaths(paths: string[], include: string[], exclude: string[]): string[] {
  const included = include.map(compile);
  const excluded = exclude.map(compile);
  return paths.filter((path) => {
    // A folder uploaded by mistake; in a --local-dir it would pass for our own notes about what is verified.
    if (path.toLowerCase().startsWith(".cache/")) return false;
    const asked = included.length === 0 || included.some((pattern) => pattern.test(path));
    return asked && !excluded.some((pattern) => pattern.test(path));
  });
}

/** `pytorch_model*.bin` in a folder that has `model.safetensors` or a sharded one too: the same tensors, in a worse format. */
function replacedBySafetensors(files: HubFile[]): (path: string) => boolean {
  const folders = new Set<string>();
  for (const { path } of files) {
    const [, folder] = /^(|.*\/)model\.safetensors(?:\.index\.json)?$/.exec(path) ?? [];
    if (folder !== undefined) folders.add(folder);
  }
  return (path) => {
    const [, folder] = /^(|.*\/)pytorch_model(?:-\d+-of-\d+)?\.bin(?:\.index\.json)?$/.exec(path) ?? [];
    return folder !== undefined && folders.has(folder);
  };
}

/** A shell pattern (`*`, `?`, `[a-z]`, `[!a]`) as an expression over a whole path, as Python's `fnmatch` does it. */
function compile(pattern: string): RegExp {
  const whole = pattern.endsWith("/") ? `${pattern}*` : pattern;
  const source = whole.replace(/\*+|\?|\[!?(?:\][^\]]*|[^\]]+)\]|./gsu, (token) => {
    if (token.startsWith("*")) return ".*";
    if (token === "?") return ".";
    if (token.length > 1 && token.startsWith("[")) {
      const inner = token.slice(1, -1);
      const negated = inner.startsWith("!");
      return `[${negated ? "^" : ""}${inner.slice(negated ? 1 : 0).replace(/[\\\]^[]/g, "\\$&")}]`;
    }
    return token.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
  });
  try {
    return new RegExp(`^${source}$`, "su");
  } catch {
    throw new UsageError(`${JSON.stringify(pattern)} is not a file pattern; use * ? and [a-z]`);
  }
}
