#include "build_stamp.h"

// C takes a definition's value from the manifest; Swift knows only whether there is one.
#ifndef KFACD_COMMIT
#define KFACD_COMMIT "unknown"
#endif

const char *kfacd_build_commit(void) { return KFACD_COMMIT; }
