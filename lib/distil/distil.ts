/**
 * From a teacher to a smaller student: what `uffb distill` does.
 *
 *     using teacher = await openTeacher("all-MiniLM-L6-v2");
 *     const data = await readTexts(["sentences.txt"], { split: 0.01, seed: 1 });
 *     const outcome = await distil(teacher, data, { kept: { feedforward: { kind: "dense", width: 256 } }, recipe: DISTIL_VECTORS, output });
 *
 * `output` is a folder that openModel opens.
 */
import { join } from "node:path";
import { poolingName } from "../../ffi/context.ts";
import { cpuCount } from "../../ffi/engine.ts";
import { CancelledError } from "../../ffi/status.ts";
import type { Kind } from "../data/own/labels.ts";
import { type Input, run } from "../eval/glue/run.ts";
import { ragged } from "../text/batches.ts";
import type { Examples } from "../train/batches.ts";
import { freeze } from "../train/head.ts";
import { beginRun, checkOutput, type Keeper, runFolder } from "../train/keep.ts";
import { counted, dropout } from "../train/labelled.ts";
import type { Guide, Part, StepReport } from "../train/loop.ts";
import { type Outline, outline } from "../train/outline.ts";
import { checkRecipe } from "../train/recipe.ts";
import { type EpochRecord, jsonLines, type LogRecord } from "../train/records.ts";
import { runEpochs } from "../train/run.ts";
import { saveModel } from "../train/save.ts";
import { type Judged, validation } from "../train/validate.ts";
import type { DistilData } from "./data.ts";
import type { HalfErrors } from "./fit.ts";
import { askedOfClassifier, askedOfVectors, cosineLoss } from "./objective.ts";
import { headOf, mostTokens, readAs, type TeacherModel } from "./open.ts";
import { checkPlaces, guidedSize, layerMap, type Place, placesOf } from "./places.ts";
import { checkWeights, type DistilRecipe, distilSettings } from "./recipe.ts";
import type { Kept } from "./student.ts";
import { modelHash, Teacher } from "./teacher.ts";
import { type Trainee, traineeOf } from "./trainee.ts";

export interface DistilOptions {
  /** A model to train, or with `kept` to make a student of; the teacher when absent. */
  student?: string | undefined;
  /** What a student that is made has of the model it is made of. */
  kept?: Kept | undefined;
  recipe: DistilRecipe;
  /** Folder for the result; nothing is written when absent. */
  output?: string | undefined;
  /** Folder for what the teacher says, for other runs; the run's own, which goes away, when absent. */
  cache?: string | undefined;
  /** Go on with the run that was stopped there. */
  resume?: boolean | undefined;
  threads?: number | undefined;
  /** Ends the step, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  /** Other files of the result, by name, written from what came of the run. */
  describe?(outcome: DistilOutcome): Record<string, string>;
  onStart?(start: DistilStart): void;
  onStep?(report: StepReport): void;
  onEpoch?(record: EpochRecord): void;
  /** Of the teacher over all texts, and of the student over those to validate on. */
  onEncode?: ((what: string, done: number, total: number) => void) | undefined;
  onWarning?(text: string): void;
}

/** What is known before the first step. */
export interface DistilStart extends Outline {
  teacher: string;
  /** The student before it. */
  source: string;
  newHead: boolean;
  /** How near the student's feedforward halves came to the teacher's; absent where they are these, or the run goes on. */
  errors?: HalfErrors | undefined;
  recipe: DistilRecipe;
  /** Where states or attention are compared; [] for outputs alone. */
  places: readonly Place[];
  isa: string;
  threads: number;
  /** Steps done before, of a run that goes on. */
  done: number;
}

/** What came of a run. */
export interface DistilOutcome {
  start: DistilStart;
  data: DistilData;
  records: readonly LogRecord[];
  epochs: readonly EpochRecord[];
  /** The epoch whose weights the result has. */
  epoch: number;
  /** The result on the texts to validate on, and the teacher; absent without any. */
  final?: Judged | undefined;
  ofTeacher?: Judged | undefined;
  seconds: number;
}

/** Texts as both models read them. */
interface Read {
  student: Examples & { cut: number };
  teacher: readonly Input[];
}

interface Job {
  source: TeacherModel;
  data: DistilData;
  options: DistilOptions;
  recipe: DistilRecipe;
  trainee: Trainee;
  teacher: Teacher;
  places: readonly Place[];
  train: Read;
  valid: Read | undefined;
}

/**
 * Trains a student. One seed gives one student, bit by bit, on any number of threads, and across interruptions.
 * @throws UffbError for what cannot be distilled or written, before the first step as far as that can be known; CancelledError after a
 * checkpoint, when `signal` says so
 */
export async function distil(
  source: TeacherModel,
  data: DistilData,
  options: DistilOptions,
): Promise<DistilOutcome> {
  const { output, resume = false, threads, signal, onEncode, student, kept } = options;
  const { compared, model, checkpoint, pooling } = source;
  if (output !== undefined) checkOutput(output, resume);
  checkWeights(options.recipe, compared);
  const maxLength = Math.min(options.recipe.maxLength, mostTokens(model, compared));
  const whileMade = (what: string) => (done: number, total: number) => {
    if (signal?.aborted) throw new CancelledError("stopped while the student was made; nothing was written");
    onEncode?.(what, done, total);
  };
  const taught = readAs(model, compared, data.train, maxLength);
  using trainee = await traineeOf(source, taught.inputs, {
    student,
    kept,
    seed: options.recipe.seed,
    making: {
      threads,
      fits: !resume,
      onProgress: whileMade("neurons that matter"),
      onFit: whileMade("steps of layers alone"),
    },
  });
  const recipe = settle({ ...options.recipe, maxLength }, data, trainee, options);
  using teacher = new Teacher(model, {
    hash: modelHash(checkpoint),
    head: headOf(source),
    what: compared === "vectors" ? `vectors, ${poolingName(pooling)}` : "logits",
    threads,
    signal,
    onEncode,
  });
  const read = (texts: DistilData["train"], teaches = readAs(model, compared, texts, maxLength)): Read => ({
    teacher: teaches.inputs,
    student: trainee.sameTokens ? teaches : readAs(trainee.model, compared, texts, recipe.maxLength),
  });
  const train = read(data.train, taught);
  const valid = data.valid && read(data.valid);
  const places = placesOf(
    recipe,
    layerMap(trainee.config.arch.layers, model.config.arch.layers, trainee.layers),
    model.config.arch,
  );
  checkPlaces(
    places,
    { source: trainee.source, arch: trainee.config.arch, sameTokens: trainee.sameTokens },
    { source: model.source, arch: model.config.arch },
  );
  return await trainStudent({ source, data, options, recipe, trainee, teacher, places, train, valid });
}

/** The recipe as the data and the student allow. */
function settle(
  recipe: DistilRecipe,
  { train, valid }: DistilData,
  { config: { arch } }: Trainee,
  { onWarning }: DistilOptions,
): DistilRecipe {
  checkRecipe(recipe, arch.layers);
  const settled = { ...recipe, maxLength: Math.min(recipe.maxLength, arch.maxLength) };
  const count = train.texts.length;
  if (count < recipe.batch) {
    settled.batch = count;
    onWarning?.(`there are only ${count} texts to train on, so that each step takes all of them`);
  }
  if (valid === undefined) settled.keep = "last";
  return settled;
}

async function trainStudent(job: Job): Promise<DistilOutcome> {
  const { data, options, recipe, trainee, teacher, train, valid } = job;
  const { output, signal } = options;
  const { trainer, config, files } = trainee;
  const { keeper, start } = await begin(job);
  using _ = keeper;
  const { progress, log } = keeper;
  const file = (name: string) => cacheFile(options, name);
  const said = valid && (await teacher.outputs("texts to validate on", valid.teacher, file("valid")));
  const outputs =
    job.places.length > 0 ? undefined : await teacher.outputs("texts", train.teacher, file("train"));
  const { epoch, final } = await runEpochs<Judged>({
    trainer,
    recipe,
    keeper,
    count: train.teacher.length,
    parts: (members, step) => parts(job, outputs, members, step),
    validate:
      valid && (async () => judged(job, said!, await ofStudent(job, valid.student.inputs, start.threads))),
    judge: data.judge,
    signal,
    onEpoch: (record) => options.onEpoch?.(record),
    onStep: (report) => options.onStep?.(report),
  });
  const outcome: DistilOutcome = {
    start,
    data,
    records: log.records,
    epochs: progress.epochs,
    epoch,
    final,
    ofTeacher: said && judged(job, said, said),
    seconds: progress.seconds,
  };
  if (output !== undefined) {
    const others = { ...options.describe?.(outcome), "training.jsonl": jsonLines(log.records) };
    await saveModel(output, trainer, config, { ...files, ...others });
    keeper.remove();
  }
  return outcome;
}

function cacheFile({ cache, output }: DistilOptions, name: string): string | undefined {
  const folder = cache ?? (output && runFolder(output));
  return folder && join(folder, `teacher-${name}.safetensors`);
}

/** The batch of a step: what the teacher said before, or with its states, what it says now. */
async function* parts(
  { source: { compared, pooling }, data, recipe, teacher, places, train }: Job,
  outputs: Float32Array | undefined,
  members: Uint32Array,
  step: number,
): AsyncGenerator<Part> {
  const { width } = teacher;
  let said: Float32Array;
  let guides: Guide[] | undefined;
  if (outputs === undefined) {
    const inputs = Array.from(members, (i) => train.teacher[i]!);
    ({ outputs: said, guides } = await teacher.states(inputs, places));
  } else {
    said = new Float32Array(members.length * width);
    for (const [row, i] of members.entries())
      said.set(outputs.subarray(i * width, (i + 1) * width), row * width);
  }
  const { targets, options } =
    compared === "vectors"
      ? askedOfVectors(said, pooling, recipe)
      : askedOfClassifier(
          compared,
          said,
          Array.from(members, (i) => data.train.targets[i]!),
          recipe,
        );
  yield {
    batch: ragged(Array.from(members, (i) => train.student.inputs[i]!)),
    targets: { targets },
    options: { ...options, ...dropout(recipe, step, true) },
    guides,
    ...counted(train.student, members),
  };
}

/** What the student puts out as it is. */
async function ofStudent(
  { source, options, trainee: { model } }: Job,
  inputs: readonly Input[],
  threads: number,
): Promise<Float32Array> {
  const head = headOf({ ...source, model });
  const onProgress = (done: number) => options.onEncode?.("validation", done, inputs.length);
  return (await run(model, inputs, { head, threads, onProgress })).logits;
}

/** Vectors by their cosine with the teacher's; all else by the labels. */
function judged({ source: { compared }, data, teacher }: Job, said: Float32Array, own: Float32Array): Judged {
  if (compared === "vectors") return { loss: cosineLoss(said, own, teacher.width), scores: {} };
  return validation(compared as Kind, data.valid!.targets, own, data.metrics);
}

/** Makes the trainer ready and takes the run up where it is, after what there is to know of it before the first step. */
async function begin({
  source,
  data,
  options,
  recipe,
  trainee,
  teacher,
  places,
  train,
}: Job): Promise<{ keeper: Keeper; start: DistilStart }> {
  const { output, resume = false, threads, onStart, onWarning = () => {} } = options;
  const { trainer, newHead, errors } = trainee;
  freeze(trainer, recipe);
  trainer.multiply(recipe.compute);
  const guided = guidedSize(places, source.model.config.arch);
  const found = outline(trainer, train.student, recipe, threads || cpuCount(), guided);
  trainer.ready({ threads });
  const settings = {
    teacher: teacher.options.hash,
    student: trainee.key,
    ...distilSettings(recipe),
    files: data.files.map(({ sha256, rows }) => ({ sha256: sha256 ?? "", rows })),
    held: data.held,
  };
  return beginRun(trainer, output, settings, { resume, warn: onWarning }, (begun) => {
    const start = {
      ...found,
      teacher: source.model.source,
      source: trainee.source,
      newHead,
      ...(errors && !resume && { errors }),
      recipe,
      places,
      ...begun,
    };
    onStart?.(start);
    return start;
  });
}
