/** For `bun --preload`: the program that follows takes the simulator for a device. */
import { useSimulator } from "./cuda.ts";

useSimulator();
