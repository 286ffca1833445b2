import { ACTIVATIONS } from "../../../ffi/bindings.ts";

/** The engine's activations by what checkpoints call them: classes of torch.nn, or names in configs of `transformers`. */
export function activationsOf(library: "torch" | "transformers"): Record<string, number> {
  return Object.fromEntries(
    ACTIVATIONS.flatMap((one) =>
      one[library].split(" ").flatMap((name) => (name === "" ? [] : [[name, one.value]])),
    ),
  );
}
