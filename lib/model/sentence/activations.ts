/** Activations that configs name by their class in PyTorch, after a module or a head; they see a vector a text, so plain code serves. */

/** A function of one number. */
export type Activation = (x: number) => number;

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  Identity: (x) => x,
  Sigmoid: sigmoid,
  Tanh: Math.tanh,
  ReLU: (x) => Math.max(x, 0),
  GELU: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  SiLU: (x) => x * sigmoid(x),
  LeakyReLU: (x) => (x > 0 ? x : 0.01 * x),
  ELU: (x) => (x > 0 ? x : Math.expm1(x)),
  Softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
  Softsign: (x) => x / (1 + Math.abs(x)),
};

export const ACTIVATION_NAMES = Object.keys(ACTIVATIONS);

/**
 * The class that a path such as "torch.nn.modules.activation.Tanh" names; undefined for a path outside PyTorch, which the library does not
 * trust: it takes the default instead.
 */
export function torchClass(path: string): string | undefined {
  return path.startsWith("torch.") ? path.split(".").at(-1) : undefined;
}

/** By the name of its class; undefined when it is not known. */
export function activationOf(name: string): Activation | undefined {
  return Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Abramowitz and Stegun, formula 7.1.26: off by 1.5e-7 at most. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}
