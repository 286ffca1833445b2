/** What becomes of the one output of a head, before it is called a score. */
import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import type { Config } from "./config.ts";
import { ACTIVATION_NAMES, type Activation, activationOf, torchClass } from "./sentence/activations.ts";
import type { Prompts } from "./sentence/prompts.ts";

export interface Scoring {
  /** Of the activation; "Identity" for the output as it is. */
  name: string;
  apply: Activation;
}

/**
 * Of a model with one output: the activation that the model names, as CrossEncoder of sentence-transformers takes it; else, as that and the
 * pipeline of `transformers` have it, none for a regression, and a sigmoid. A family without classes in that library gives its output as it
 * is.
 *
 * @throws UffbError for an activation of PyTorch that is not known here
 */
export function scoringOf(
  { family, problem, scoreActivation }: Pick<Config, "family" | "problem" | "scoreActivation">,
  prompts: Prompts,
  source: string,
): Scoring {
  const path = (prompts.modelType === "CrossEncoder" ? prompts.activation : undefined) ?? scoreActivation;
  const usual = family.encoder === undefined || problem === "regression" ? "Identity" : "Sigmoid";
  // The library does not trust a path that is not PyTorch's, and takes the sigmoid.
  const name = path === undefined ? usual : (torchClass(path) ?? "Sigmoid");
  const apply = activationOf(name);
  if (apply) return { name, apply };
  throw new UffbError(
    `${source}: its scores pass through ${quoted(name)}, which is not supported; supported: ${ACTIVATION_NAMES.join(", ")}`,
  );
}
