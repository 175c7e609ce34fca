#ifndef KFACD_BUILD_STAMP_H
#define KFACD_BUILD_STAMP_H

/// The commit that the programs were built from, as the environment variable KFACD_COMMIT of the build named it;
/// "unknown" when it named none.
const char *kfacd_build_commit(void);

#endif
