import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "../../testing/hub/setup.ts";
import { UsageError } from "../base/errors.ts";
import { hubEnvironment } from "./environment.ts";

const { path: home, clean } = scratch();
afterAll(clean);
const HOME = "/home/me";

test.each([
  [{}, "/home/me/.cache/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/x", HF_HOME: "/h" }, "/h/hub"],
  [{ HF_HOME: "~/h" }, "/home/me/h/hub"],
  [{ HF_HOME: "$BASE/h", BASE: "/b" }, "/b/h/hub"],
  [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the user's shell did not expand it
  [{ HF_HUB_CACHE: "${BASE}/c", BASE: "/b", HUGGINGFACE_HUB_CACHE: "/old" }, "/b/c"],
  [{ HF_HUB_CACHE: "", HF_HOME: "" }, "/home/me/.cache/huggingface/hub"],
])("%j puts the cache at %s", (variables, cacheDir) => {
  expect(hubEnvironment({}, { HOME, ...variables }).cacheDir).toBe(cacheDir);
  expect(hubEnvironment({ cacheDir: "/given" }, { HOME, ...variables }).cacheDir).toBe("/given");
});

test("the token: flag, variable, file, none", () => {
  writeFileSync(join(home, "token"), "hf_file\n");
  const token = (given: string | undefined, variables: Record<string, string>) =>
    hubEnvironment({ token: given }, { HOME, ...variables }).token;
  expect(token("hf_flag", { HF_TOKEN: "hf_variable", HF_HOME: home })).toBe("hf_flag");
  expect(token(undefined, { HF_TOKEN: " hf_variable\n", HF_HOME: home })).toBe("hf_variable");
  expect(token(undefined, { HF_HOME: home })).toBe("hf_file");
  expect(token(undefined, { HF_TOKEN_PATH: join(home, "token") })).toBe("hf_file");
  expect(token(undefined, { HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toBeUndefined();
  expect(token(undefined, {})).toBeUndefined();
});

test("a token that could not be sent is an error that does not show it", () => {
  for (const bad of ["hf_se cret", "hf_se\u0000cret", "hf_se\ncret", ""]) {
    const call = () => hubEnvironment({ token: bad }, { HOME });
    expect(call).toThrow(UsageError);
    expect(call).not.toThrow(/cret/);
  }
});

test("the endpoint is http(s), without a slash at its end or a password", () => {
  const endpoint = (HF_ENDPOINT: string) => hubEnvironment({}, { HOME, HF_ENDPOINT }).endpoint;
  expect(endpoint("")).toBe("https://huggingface.co");
  expect(endpoint("http://127.0.0.1:80/")).toBe("http://127.0.0.1");
  expect(endpoint("https://mirror.example/hf/")).toBe("https://mirror.example/hf");
  for (const bad of ["huggingface.co", "file:///etc", "https://me:secret@mirror.example"]) {
    expect(() => endpoint(bad)).toThrow(UsageError);
    expect(() => endpoint(bad)).not.toThrow(/secret/);
  }
});

test.each([
  ["1", true],
  ["true", true],
  ["YES", true],
  ["0", false],
  ["", false],
])("HF_HUB_OFFLINE=%s", (HF_HUB_OFFLINE, offline) => {
  expect(hubEnvironment({}, { HOME, HF_HUB_OFFLINE }).offline).toBe(offline);
  expect(hubEnvironment({ offline: true }, { HOME, HF_HUB_OFFLINE }).offline).toBe(true);
});
