import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { UsageError } from "../base/errors.ts";
import { readRegularText } from "../base/read.ts";

/** What the hub's environment variables say, after the command line's own word. */
export interface HubEnvironment {
  /** Where the hub is, without a slash at the end. */
  endpoint: string;
  /** Absolute path of the folder that holds `models--…` and `datasets--…`. */
  cacheDir: string;
  token: string | undefined;
  offline: boolean;
}

type Variables = Record<string, string | undefined>;

/**
 * Reads `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE` with the
 * precedence and defaults of Python's `huggingface_hub`, so both find one cache. Proxies (`HTTPS_PROXY`, `HTTP_PROXY`,
 * `NO_PROXY`) need nothing here: Bun's fetch honours them.
 * @throws UsageError for an endpoint that is no URL or a token that cannot be one
 */
export function hubEnvironment(
  given: { cacheDir?: string | undefined; token?: string | undefined; offline?: boolean | undefined } = {},
  variables: Variables = process.env,
): HubEnvironment {
  const home = variables.HF_HOME
    ? expand(variables.HF_HOME, variables)
    : join(variables.XDG_CACHE_HOME || join(homeOf(variables), ".cache"), "huggingface");
  const cache = given.cacheDir ?? (variables.HF_HUB_CACHE || variables.HUGGINGFACE_HUB_CACHE);
  return {
    endpoint: parseEndpoint(variables.HF_ENDPOINT || "https://huggingface.co"),
    cacheDir: resolve(cache ? expand(cache, variables) : join(home, "hub")),
    token: given.token === undefined ? storedToken(home, variables) : parseToken(given.token, "--token"),
    offline: given.offline === true || isTrue(variables.HF_HUB_OFFLINE || variables.TRANSFORMERS_OFFLINE),
  };
}

/** Largest file of a token, in bytes. */
const MAX_TOKEN = 10_000;

function storedToken(home: string, variables: Variables): string | undefined {
  if (isTrue(variables.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const fromVariable = variables.HF_TOKEN || variables.HUGGING_FACE_HUB_TOKEN;
  if (fromVariable) return parseToken(fromVariable, "HF_TOKEN");
  const path = variables.HF_TOKEN_PATH ? expand(variables.HF_TOKEN_PATH, variables) : join(home, "token");
  let text: string;
  try {
    text = readRegularText(path, { most: MAX_TOKEN });
  } catch {
    return undefined; // not logged in, which is enough for public repositories
  }
  return text.trim() === "" ? undefined : parseToken(text, path);
}

/** The message never holds the token: it may be a real one with a stray character. */
function parseToken(text: string, source: string): string {
  const token = text.trim();
  if (!/^[\x21-\x7e]{1,1024}$/.test(token)) {
    throw new UsageError(
      `the token from ${source} is empty or holds characters that no token has; copy it again`,
    );
  }
  return token;
}

function parseEndpoint(text: string): string {
  const url = URL.parse(text);
  if (
    url === null ||
    (url.protocol !== "https:" && url.protocol !== "http:") ||
    url.username ||
    url.password
  ) {
    throw new UsageError("HF_ENDPOINT is not a plain http(s) address; write it like https://huggingface.co");
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

/** `~` and `$NAME` or `${NAME}`, as Python's `expanduser` and `expandvars` do it. */
function expand(path: string, variables: Variables): string {
  return path
    .replace(/^~(?=\/|$)/, homeOf(variables))
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced, bare) => variables[braced ?? bare] ?? all);
}

function homeOf(variables: Variables): string {
  return variables.HOME || homedir();
}
