import { formatSeconds } from "../../lib/base/numbers.ts";
import { bar, WorkLine } from "../../lib/base/progress.ts";
import type { FinetuneOptions, Start } from "../../lib/train/finetune.ts";
import { metricTitle } from "../../lib/train/validate.ts";
import { messages } from "./messages.ts";
import { statusLine } from "./terminal.ts";

/**
 * Shows a training run on stderr: what is to come, a line of progress on a terminal, and each epoch. `clear` takes the line away.
 * @param lines what is to come
 */
export function showRun<S extends Start>(
  lines: (start: S) => string[],
): Required<Pick<FinetuneOptions, "onStep" | "onEpoch" | "onEncode" | "onWarning">> & {
  onStart(start: S): void;
  clear(): void;
} {
  const line = statusLine();
  const work = new WorkLine(line);
  let choosesBest = false;
  let [steps, epochs] = [0, 0];
  return {
    clear: () => line.clear(),
    onStart: (start) => {
      choosesBest = start.recipe.keep === "best";
      steps = start.steps;
      epochs = start.recipe.epochs;
      for (const text of lines(start)) messages.info(text);
    },
    onStep: ({ step, epoch, loss, share, tokensPerSecond, secondsLeft }) => {
      line.show(() => {
        const rate = `${Math.round(tokensPerSecond).toLocaleString("en-US")} tokens/s`;
        const left = `${formatSeconds(secondsLeft)} left`;
        return `epoch ${epoch} of ${epochs}  ${bar(share, 20)}  step ${step} of ${steps}  loss ${loss.toFixed(4)}  ${rate}  ${left}`;
      });
    },
    onEpoch: ({ epoch, train_loss, valid_loss, scores = {}, best }) => {
      line.clear();
      const found = Object.entries(scores).map(
        ([name, value]) => `${metricTitle(name as keyof typeof scores)} ${value.toFixed(4)}`,
      );
      const valid = valid_loss === undefined ? [] : [`validation loss ${valid_loss.toFixed(4)}`, ...found];
      messages.info(
        [
          `epoch ${epoch}: loss ${train_loss.toFixed(4)}`,
          ...valid,
          ...(best && choosesBest ? ["the best so far"] : []),
        ].join(", "),
      );
    },
    onEncode: (what, done, total) => {
      work.show(what, done, total);
    },
    onWarning: (text) => {
      line.clear();
      messages.warn(text);
    },
  };
}
