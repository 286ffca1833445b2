import { expect, test } from "bun:test";
import { UsageError } from "../base/errors.ts";
import type { HubFile } from "./listing.ts";
import { selectFiles, selectPaths } from "./select.ts";

const files = (...paths: string[]): HubFile[] =>
  paths.map((path) => ({ path, size: 1, digest: { algorithm: "sha256", hex: "0".repeat(64) } }));
const chosen = (
  paths: string[],
  include: string[] = [],
  exclude: string[] = [],
  type: "model" | "dataset" = "model",
) => selectFiles(files(...paths), type, include, exclude).chosen.map(({ path }) => path);

/** The names of a real sentence-transformers repository. */
const SENTENCE = {
  needed: [
    ".gitattributes",
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
  ],
  other: [
    "onnx/model.onnx",
    "onnx/model_qint8_avx512.onnx",
    "openvino/openvino_model.bin",
    "openvino/openvino_model.xml",
    "pytorch_model.bin",
    "rust_model.ot",
    "tf_model.h5",
    "flax_model.msgpack",
    "coreml/text-classification/float32_model.mlpackage/Manifest.json",
  ],
};

test("of a sentence-transformers repository only what is needed comes, and the rest is named", () => {
  const all = [...SENTENCE.needed, ...SENTENCE.other];
  const { chosen, leftOut } = selectFiles(files(...all), "model", [], []);
  expect(chosen.map(({ path }) => path)).toEqual(SENTENCE.needed);
  expect(Object.fromEntries(leftOut.map(({ what, files }) => [what, files.length]))).toEqual({
    ONNX: 2,
    OpenVINO: 2,
    TensorFlow: 1,
    Flax: 1,
    Rust: 1,
    "Core ML": 1,
    "the same weights as a pickle": 1,
  });
});

test("--include and data sets bring every format", () => {
  const all = [...SENTENCE.needed, ...SENTENCE.other];
  expect(chosen(all, ["*"])).toEqual(all);
  expect(chosen(all, [], [], "dataset")).toEqual(all);
  expect(chosen(all, ["onnx/*", "*.xml"])).toEqual([
    "onnx/model.onnx",
    "onnx/model_qint8_avx512.onnx",
    "openvino/openvino_model.xml",
  ]);
  expect(chosen(all, ["onnx/"], ["*qint8*"])).toEqual(["onnx/model.onnx"]);
});

test("a pickle stays only where its own folder has no safetensors", () => {
  const paths = [
    "pytorch_model.bin",
    "a/model.safetensors",
    "a/pytorch_model.bin",
    "b/pytorch_model-00001-of-00002.bin",
  ];
  expect(chosen(paths)).toEqual([
    "pytorch_model.bin",
    "a/model.safetensors",
    "b/pytorch_model-00001-of-00002.bin",
  ]);
  const sharded = [
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "pytorch_model-00001-of-00002.bin",
  ];
  expect(chosen(sharded)).toEqual(["model.safetensors.index.json"]);
  // A single shard or an adapter does not replace the model.
  expect(chosen(["adapter_model.safetensors", "pytorch_model.bin"])).toHaveLength(2);
  // Nor does one that the user excludes.
  expect(chosen(["model.safetensors", "pytorch_model.bin"], [], ["*.safetensors"])).toEqual([
    "pytorch_model.bin",
  ]);
});

test.each([
  ["*.json", ["a.json", "sub/b.json"]],
  ["sub/*", ["sub/b.json", "sub/c+d.txt"]],
  ["?.json", ["a.json"]],
  ["[ab].json", ["a.json"]],
  ["[!a]*", ["sub/b.json", "sub/c+d.txt", "[x]"]],
  ["sub/c+d.txt", ["sub/c+d.txt"]],
  ["[x]", []],
  ["[[]x]", ["[x]"]],
  ["A.JSON", []],
  ["json", []],
])("pattern %s works as Python's fnmatch", (pattern, expected) => {
  expect(selectPaths(["a.json", "sub/b.json", "sub/c+d.txt", "[x]"], [pattern], [])).toEqual(expected);
});

test("an invalid pattern is a usage error", () => {
  expect(() => selectPaths([], ["[z-a]"], [])).toThrow(UsageError);
});
