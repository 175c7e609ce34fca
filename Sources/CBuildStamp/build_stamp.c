#include "build_stamp.h"

// C can take a definition's value from the manifest. Swift only sees whether the definition exists.
#ifndef KFACD_COMMIT
#define KFACD_COMMIT "unknown"
#endif

const char *kfacd_build_commit(void) { return KFACD_COMMIT; }
