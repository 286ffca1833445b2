/** Thirty steps of masked language modelling by the original code, again by the loop and the recipe of pretraining. */
import { expect, test } from "bun:test";
import { numbers, openTraining, unpad } from "../../../testing/train.ts";
import { openTensorFile } from "../../files/safetensors/safetensors.ts";
import { RunLog } from "../log.ts";
import { type Course, type Part, runSteps } from "../loop.ts";
import { adamwOf } from "../recipe.ts";
import { isStep } from "../records.ts";
import { learningRate } from "../schedule.ts";
import { newProgress } from "../state.ts";
import { CRAMMING, type PretrainRecipe, shareOf, usedOf } from "./recipe.ts";

test.each(["mlm-fff", "mlm-dense"])(
  "%s: rates, losses and gradient norms are the original's",
  async (name) => {
    const path = new URL(`../../../fixtures/reference-train/${name}`, import.meta.url).pathname;
    const { tensors, metadata } = openTensorFile(`${path}/steps.safetensors`);
    const read = (tensor: string) => numbers(tensors.get(tensor)!);
    const [steps, sequences, length] = tensors.get("input_ids")!.shape as [number, number, number];
    const recipe: PretrainRecipe = { ...CRAMMING, budget: { unit: "steps", amount: steps } };
    expect(adamwOf(recipe)).toEqual({
      beta1: Number(metadata.beta1),
      beta2: Number(metadata.beta2),
      eps: Number(metadata.eps),
      weightDecay: Number(metadata.weight_decay),
      clip: Number(metadata.clip),
    });
    using training = openTraining(path);
    const progress = newProgress("");
    using log = new RunLog();

    /** A sequence of a step, as a micro-batch of its own. */
    function part(step: number, sequence: number, scale: number): Part {
      const of = (tensor: string) => {
        const start = (step * sequences + sequence) * length;
        return read(tensor).subarray(start, start + length);
      };
      const { batch, targets, options } = unpad(
        1,
        of("input_ids"),
        of("attention_mask"),
        of("labels"),
        false,
      );
      return { batch, targets, options: { ...options, scale }, tokens: batch.ids.length, places: () => "" };
    }

    const course: Course = {
      steps,
      remedy: "",
      share: () => shareOf(recipe, { steps: progress.step, sequences: 0, seconds: 0 }),
      next() {
        const { step } = progress;
        if (step === steps) return undefined;
        const { schedule: shape, lr: peak, warmup } = recipe;
        const used = usedOf(recipe, { steps: step, sequences: 0, seconds: 0 });
        const labels = read("labels").subarray(step * sequences * length, (step + 1) * sequences * length);
        const scale = 1 / labels.filter((label) => label >= 0).length;
        const parts = Array.from({ length: sequences }, (_, sequence) => part(step, sequence, scale));
        return {
          lr: learningRate({ shape, peak, warmup }, used, steps),
          within: "",
          parts,
          about: { epoch: 1 },
        };
      },
      after: async () => {},
    };
    await runSteps({
      trainer: training.trainer,
      adamw: adamwOf(recipe),
      course,
      progress,
      log,
      onStep: () => {},
    });
    const done = log.records.filter(isStep);
    expect(done.length).toBe(steps);
    for (const [step, { lr, loss, grad_norm }] of done.entries()) {
      const off = (actual: number, tensor: string) => Math.abs(actual / read(tensor)[step]! - 1);
      expect({
        step,
        lr: off(lr, "lr") < 1e-6,
        loss: off(loss, "loss") < 1e-4,
        norm: off(grad_norm, "grad_norm") < 2e-4,
      }).toEqual({ step, lr: true, loss: true, norm: true });
    }
  },
);
