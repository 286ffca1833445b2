/** The student as it is before its first step: made of its teacher, or a model of its own. */
import type { NativeTrainer } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import { plural } from "../base/numbers.ts";
import { Random } from "../base/random.ts";
import type { Input } from "../eval/glue/run.ts";
import { type Checkpoint, openCheckpoint } from "../files/checkpoint.ts";
import { modelTexts } from "../files/packed.ts";
import { SENTENCE_FILES } from "../files/sentence.ts";
import type { Config } from "../model/config.ts";
import { feedforwardName } from "../model/families/feedforward.ts";
import type { Model } from "../model/model.ts";
import { openTrainable } from "../model/trainable.ts";
import { initialiseHead } from "../train/head.ts";
import { classifierConfig } from "../train/save.ts";
import { trainedModel } from "../train/trained.ts";
import type { HalfErrors } from "./fit.ts";
import { openTeacher, type TeacherModel } from "./open.ts";
import { type Kept, type Making, makeStudent, studentShape } from "./student.ts";
import { modelHash } from "./teacher.ts";

export interface Trainee extends Disposable {
  config: Config;
  trainer: NativeTrainer;
  /** The trainer's weights as they are; it reads texts as its teacher, of which it was made, or by its own tokenizer. */
  model: Model;
  /** The files of the result, but for weights and what is said of the run. */
  files: Readonly<Record<string, string>>;
  /** What it was, for messages. */
  source: string;
  /** Whether its head, or a layer of it, is new. */
  newHead: boolean;
  /** Whether it reads the same tokens as its teacher. */
  sameTokens: boolean;
  /** The layers that it was made of, where these are the teacher's. */
  layers?: readonly number[] | undefined;
  /** How near its feedforward halves come to the teacher's, where they are others and it was measured. */
  errors?: HalfErrors | undefined;
  /** What tells it from others in a run's settings. */
  key: string;
}

/** Tokens of the training texts that tell which neurons matter. */
const SAMPLE_TOKENS = 8192;

/**
 * @param inputs what the teacher reads of the training texts
 * @throws UffbError when it does not fit the teacher, or cannot be trained
 */
export async function traineeOf(
  teacher: TeacherModel,
  inputs: readonly Input[],
  options: {
    student?: string | undefined;
    kept?: Kept | undefined;
    seed: number;
    /** How the student is made of it, where it is. */
    making: Omit<Making, "sample" | "inputs" | "seed">;
  },
): Promise<Trainee> {
  const { student, kept = {}, seed } = options;
  const making = { ...options.making, sample: sampleOf(inputs, seed), inputs, seed };
  const isMade = [kept.layers, kept.feedforward, kept.headSize].some((own) => own !== undefined);
  if (student !== undefined && !isMade) return opened(teacher, student, seed);
  if (student === undefined) return made(teacher, teacher, kept, making);
  using base = await openTeacher(student);
  checkBase(base, teacher);
  return await made(base, teacher, kept, making);
}

/** @throws UffbError unless a model says what the teacher says: then a student made of it is one of the teacher's */
function checkBase({ model, checkpoint, compared }: TeacherModel, teacher: TeacherModel): void {
  const { config, source } = teacher.model;
  const same =
    compared === teacher.compared &&
    model.config.arch.hidden === config.arch.hidden &&
    model.config.labels.join("\n") === config.labels.join("\n") &&
    sameTokens(checkpoint, teacher.checkpoint);
  if (!same)
    throw new UffbError(
      `${model.source}: --layers, --width and --shape make a student of it only where it has the width, the labels and the tokenizer of ${source}; leave them out to train it as it is`,
    );
}

/** @param base what it is made of: the teacher, or the same in another precision, say */
async function made(
  { model, checkpoint }: TeacherModel,
  teacher: TeacherModel,
  kept: Kept,
  making: Making,
): Promise<Trainee> {
  const shape = studentShape(model, kept);
  const { config, text, trainer, errors } = await makeStudent(model, checkpoint, shape, making);
  const { layers, feedforward, headSize } = shape;
  return {
    config,
    trainer,
    model: trainedModel(trainer, config, checkpoint, model.source, model),
    files: { ...Object.fromEntries(modelTexts(checkpoint.file)), "config.json": text },
    source: `${model.source}, layers ${layers.join(",")}${feedforward ? `, feedforward ${feedforwardName(feedforward)}` : ""}${headSize ? `, heads of ${plural(headSize, "unit")}` : ""}`,
    newHead: false,
    sameTokens: true,
    ...(model.config.arch.layers === teacher.model.config.arch.layers && { layers }),
    ...(errors && { errors }),
    key: JSON.stringify({ ...shape, of: modelHash(checkpoint) }),
    [Symbol.dispose]: () => trainer[Symbol.dispose](),
  };
}

/** Texts of up to so many tokens, at least one. */
function sampleOf(inputs: readonly Input[], seed: number): Input[] {
  let tokens = 0;
  const shuffled = Array.from(new Random(seed, "sample").permutation(inputs.length), (i) => inputs[i]!);
  return shuffled.filter(({ ids }) => {
    tokens += ids.length;
    return tokens <= SAMPLE_TOKENS || tokens === ids.length;
  });
}

function opened(teacher: TeacherModel, path: string, seed: number): Trainee {
  const { compared, model, checkpoint: theirs } = teacher;
  const checkpoint = openCheckpoint(path);
  const { config: teaches } = model;
  const head = compared === "vectors" ? undefined : { task: compared, labels: teaches.labels };
  const { config: found, trainer, fresh } = openTrainable(checkpoint, head);
  try {
    const config = { ...found, ...(teaches.texts !== undefined && { texts: teaches.texts }) };
    if (compared === "vectors" && config.arch.hidden !== teaches.arch.hidden)
      throw new UffbError(
        `${path} makes vectors of ${config.arch.hidden} numbers, and its teacher ones of ${teaches.arch.hidden}; give a student of as many`,
      );
    initialiseHead(trainer, fresh, seed);
    const own = Object.fromEntries(modelTexts(checkpoint.file));
    const settings = Object.entries(Object.fromEntries(modelTexts(theirs.file))).filter(
      ([name]) => SENTENCE_FILES.includes(name) || name.includes("/"),
    );
    const vectors = compared === "vectors";
    return {
      config,
      trainer,
      model: trainedModel(trainer, config, checkpoint, path),
      files: vectors
        ? { ...own, ...Object.fromEntries(settings) }
        : { ...own, "config.json": classifierConfig(config, checkpoint) },
      source: path,
      newHead: fresh.length > 0,
      sameTokens: sameTokens(checkpoint, theirs),
      key: modelHash(checkpoint),
      [Symbol.dispose]: () => trainer[Symbol.dispose](),
    };
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
}

function sameTokens(a: Checkpoint, b: Checkpoint): boolean {
  const text = ({ file }: Checkpoint) => file("tokenizer.json")?.text;
  return text(a) === text(b);
}
