/* encoder_cases.h: tests of the encoder on a device against the engine on the CPU: for the simulator, and for a machine with a
 * GPU. They are linked with kernels/test/check.c, engine_model.c, engine_configs.c and the engine. */
#ifndef UFFB_CUDA_ENCODER_CASES_H
#define UFFB_CUDA_ENCODER_CASES_H

#include <stdint.h>

/* Every kind of model, and calls that must be refused. `all`: each model in every type, not in f32 and one type of 16 bits. */
void test_encoders(int32_t device, int32_t all);

#endif
