#ifndef CXXHASH_SHIM_H
#define CXXHASH_SHIM_H

// The streamed 128-bit XXH3 of xxHash 0.8, compiled in place, so that no library is linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

// xxHash's own names are macros here, which Swift does not see.

static inline void *kfacd_checksum_begin(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL) XXH3_128bits_reset(state);
    return state;
}

static inline void kfacd_checksum_update(void *state, const void *bytes, size_t count) {
    XXH3_128bits_update((XXH3_state_t *)state, bytes, count);
}

static inline void kfacd_checksum_value(const void *state, uint64_t *high, uint64_t *low) {
    const XXH128_hash_t value = XXH3_128bits_digest((const XXH3_state_t *)state);
    *high = value.high64;
    *low = value.low64;
}

static inline void kfacd_checksum_end(void *state) { XXH3_freeState((XXH3_state_t *)state); }

#endif
