/**
 * Loaded before every test: property tests try the same cases in each run, so that a run that passes passes again anywhere. Other cases:
 * UFFB_SEED=random npm test, or the number that a failure names.
 */
import fc from "fast-check";

const seed = process.env.UFFB_SEED ?? "1";
if (seed !== "random") fc.configureGlobal({ seed: Number(seed) });
