/* The encoder on the simulator. */
extern "C" {
#include "encoder_cases.h"
#include "../../test/check.h"
}

int main(void) {
    test_encoders(0, 0);
    return test_report();
}
