/* gate.h: what gated feedforward layers do between their projections. */
#ifndef UFFB_CUDA_GATE_H
#define UFFB_CUDA_GATE_H

#include "../device.h"

/* y [tokens, half] = x[:half] * act(x[half:]) of x [tokens, 2 half] */
template <class T>
cudaError_t uffb_cuda_gate(int64_t tokens, int64_t half, int32_t activation, const T *x, T *y, cudaStream_t stream);

#endif
