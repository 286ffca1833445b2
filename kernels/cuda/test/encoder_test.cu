/* The encoder on the simulator, whose device has a GB of memory. */
#include "../uffb_cuda.h"

#include <string.h>
#include <vector>

extern "C" {
#include "encoder_cases.h"
#include "../../test/check.h"
#include "../../test/engine_test.h"
}

/* A batch that does not fit is refused with what it needs, and the encoder goes on. */
static void test_no_memory(void) {
    test_begin("a batch too large for the device");
    int64_t count;
    const config *c = &test_configs(&count)[3];
    random_model *m = random_model_new(&c->arch, 1, UFFB_F32, AS_ASKED);
    uffb_cuda_encoder *e = NULL;
    check(uffb_cuda_encoder_new(m->model, 0, UFFB_F32, &e) == UFFB_OK, "%s", uffb_cuda_error());

    const int64_t many = 1 << 20;
    std::vector<int64_t> offsets(many + 1);
    std::vector<int32_t> ids(many);
    std::vector<float> final(many * c->arch.hidden), again(2 * c->arch.hidden);
    for (int64_t s = 0; s <= many; s++) offsets[s] = s;
    check(uffb_cuda_encode(e, 2, offsets.data(), ids.data(), NULL, final.data()) == UFFB_OK, "%s", uffb_cuda_error());
    const int32_t status = uffb_cuda_encode(e, many, offsets.data(), ids.data(), NULL, final.data());
    check(status == UFFB_NO_MEMORY, "status %d", status);
    check(strstr(uffb_cuda_error(), "bytes for a batch of 1048576 tokens") != NULL, "\"%s\"", uffb_cuda_error());
    check(strcmp(uffb_cuda_error(), uffb_cuda_encoder_error(e)) == 0, "the encoder says \"%s\"", uffb_cuda_encoder_error(e));
    check(uffb_cuda_encode(e, 2, offsets.data(), ids.data(), NULL, again.data()) == UFFB_OK, "%s", uffb_cuda_error());
    check(memcmp(final.data(), again.data(), again.size() * sizeof again[0]) == 0, "other states afterwards");
    uffb_cuda_encoder_free(e);
    random_model_free(m);
    test_end();
}

int main(void) {
    test_encoders(0, 0);
    test_no_memory();
    return test_report();
}
