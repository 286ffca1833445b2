/** Every key that transformers 5.24 and sentence-transformers 6.2 write or look for (testing/fixtures/keys.py), and what becomes of it here. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { REFERENCE_BERT, reference } from "../../../testing/folders.ts";
import { UffbError } from "../../base/errors.ts";
import { parseConfig } from "../config.ts";
import { CONFIG } from "./config.ts";
import { FILES, reportKeys, unknownKeys } from "./report.ts";
import { MODULE, OF_MODULE } from "./sentence.ts";
import { type KeyTable, sortKeys } from "./table.ts";

const keys = JSON.parse(
  readFileSync(new URL("../../../fixtures/beside/keys.json", import.meta.url), "utf8"),
) as Record<string, string[]>;
const TABLES: Record<string, KeyTable> = { ...FILES, ...OF_MODULE, "modules.json": MODULE };

/** The library's keys by what becomes of them, those that change nothing aside. */
function sorted(name: string) {
  const { keys: rules } = TABLES[name]!;
  const of = (wanted: string) =>
    keys[name]!.filter((key) => {
      const rule = rules[key];
      return (
        (rule === undefined
          ? "missing"
          : rule === "read"
            ? "read"
            : "nothing" in rule
              ? "nothing"
              : "refused") === wanted
      );
    });
  expect([name, of("missing")]).toEqual([name, []]);
  return { read: of("read").join(" "), refused: of("refused").join(" "), nothing: of("nothing").length };
}

describe("the libraries' keys", () => {
  test("of tokenizers", () => {
    expect(sorted("tokenizer_config.json")).toEqual({
      read:
        "add_prefix_space added_tokens_decoder additional_special_tokens bos_token cls_token do_lower_case eos_token extra_special_tokens keep_accents mask_token max_len " +
        "model_input_names model_max_length model_specific_special_tokens pad_token sep_token split_special_tokens strip_accents tokenize_chinese_chars tokenizer_class " +
        "truncation_side unk_token",
      refused:
        "_json_padding _json_truncation _spm_precompiled_charsmap fast_tokenizer_files gguf_file init_inputs post_processor tokenizer_object tokenizer_padding " +
        "tokenizer_truncation",
      nothing: 32,
    });
    expect(sorted("special_tokens_map.json")).toMatchObject({ refused: "", nothing: 0 });
  });

  test("of sentence-transformers", () => {
    expect(sorted("config_sentence_transformers.json")).toEqual({
      read: "activation_fn default_prompt_name model_type prompts similarity_fn_name truncate_dim",
      refused: "",
      nothing: 3,
    });
    expect(sorted("modules.json")).toEqual({ read: "path type", refused: "", nothing: 3 });
    expect(sorted("sentence_bert_config.json")).toMatchObject({
      read: "do_lower_case max_seq_length",
      nothing: 1,
    });
    for (const [name, read] of [
      ["Pooling", 8],
      ["Dense", 7],
      ["Normalize", 2],
      ["LayerNorm", 1],
      ["Dropout", 0],
    ] as const)
      expect([name, sorted(name).read.split(" ").filter(Boolean).length]).toEqual([name, read]);
  });

  test("of config.json: families read them, or they change nothing", () => {
    const read = ["bert-cls", "roberta-cls", "distilbert-mlm"].flatMap((name) => {
      const { config } = reference(name, REFERENCE_BERT);
      const all = { ...Object.fromEntries(keys["config.json"]!.map((key) => [key, null])), ...config };
      const given = {
        ...all,
        problem_type: "single_label_classification",
        id2label: { "0": "a", "1": "b", "2": "c" },
      };
      return [...parseConfig(JSON.stringify(given), "c").keys];
    });
    const missing = keys["config.json"]!.filter((key) => !read.includes(key) && !(key in CONFIG));
    expect(missing).toEqual([]);
  });
});

describe("a file's keys", () => {
  const files = (all: Record<string, unknown>) => (name: string) =>
    Object.hasOwn(all, name) ? { text: JSON.stringify(all[name]), source: name } : undefined;

  test("are reported by what became of them, and unknown ones are named in a warning", () => {
    const all = files({
      "tokenizer_config.json": { do_lower_case: true, padding_side: "left", entity_token: "[E]", nobody: 1 },
      "generation_config.json": {},
      "config.json": { hidden_size: 1, torch_dtype: "float16", custom: 2 },
    });
    expect(reportKeys(all, new Set(["hidden_size"]))).toEqual([
      {
        source: "config.json",
        read: ["hidden_size"],
        nothing: [{ key: "torch_dtype", why: "the arithmetic is f32, whatever the weights were saved in" }],
        unknown: ["custom"],
      },
      {
        source: "tokenizer_config.json",
        read: ["do_lower_case", "entity_token"],
        nothing: [{ key: "padding_side", why: "texts are not padded" }],
        unknown: ["nobody"],
      },
      {
        source: "generation_config.json",
        read: [],
        nothing: [{ key: "", why: "is for generating text" }],
        unknown: [],
      },
    ]);
    expect(unknownKeys(all)).toEqual([
      "tokenizer_config.json: no effect of what the library that reads it does not know: nobody",
    ]);
  });

  test.each<[string, object, string]>([
    [
      "tokenizer_config.json",
      { fast_tokenizer_files: ["tokenizer.json", "tokenizer.4.0.json"] },
      "fast_tokenizer_files is",
    ],
    ["sentence_bert_config.json", { processing_kwargs: { text: { max_length: 4 } } }, "processing_kwargs is"],
    ["sentence_bert_config.json", { nobody: 1 }, '"nobody" is no setting'],
    ["special_tokens_map.json", { do_lower_case: false }, '"do_lower_case" is no setting'],
  ])("%s %p is refused by name", (name, value, message) => {
    expect(() => sortKeys(value as Record<string, unknown>, TABLES[name]!, name)).toThrow(
      `${name}: ${message}`,
    );
  });

  test("whatever they hold, give a report or one clear error", () => {
    const names = [...Object.keys(TABLES), "config.json"];
    const key = fc.oneof(
      fc.constantFrom(...Object.values(keys).flat(), "__proto__", "constructor"),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.dictionary(key, fc.jsonValue()), (name, value) => {
        try {
          reportKeys(
            files({ [name]: value, "modules.json": name === "modules.json" ? [value] : [] }),
            new Set(),
          );
          unknownKeys(files({ [name]: value }));
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});
