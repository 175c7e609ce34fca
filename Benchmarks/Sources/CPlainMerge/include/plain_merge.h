// The merge that kfacd is measured against, as a short C program would do it.
#ifndef KFACD_PLAIN_MERGE_H
#define KFACD_PLAIN_MERGE_H

#include <stddef.h>

// What a merge took.
struct kfacd_plain_merge_times {
    // Wall time from the first read to the last write.
    double merge_seconds;
    // Wall time of fsync.
    double fsync_seconds;
    // Processor time of both, in the program and in the system.
    double processor_seconds;
};

// Writes base + Σ weight · (model − base) of bfloat16 elements, by range with pread and pwrite.
//
// All files have the elements in the same place, `byte_count` bytes from `offset` on. The bytes are those of kfacd.
// `paths` begins with the base. The output is made anew. Returns 0, or the errno of the call that failed.
int kfacd_plain_merge(const char *const *paths, size_t path_count, size_t offset, size_t byte_count, float weight,
                      const char *output, size_t thread_count, struct kfacd_plain_merge_times *times);

#endif
