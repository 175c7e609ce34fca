// System calls that the Swift overlay of the C library hides.

#ifndef KFACD_SYSTEM_CALLS_H
#define KFACD_SYSTEM_CALLS_H

#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/// renameat2(2) with absolute paths or paths from the working directory.
///
/// Returns 0, or -1 with errno.
static inline int kfacd_rename(const char *from, const char *to, unsigned int flags) {
    // AT_FDCWD is -100 on every architecture.
    return (int)syscall(SYS_renameat2, -100, from, -100, to, flags);
}

/// RENAME_NOREPLACE: an existing file is not replaced.
static const unsigned int kfacd_rename_no_replace = 1u;

/// RENAME_EXCHANGE: both names must exist, and they exchange their files.
static const unsigned int kfacd_rename_exchange = 2u;

/// The type of the file system at a path (statfs(2)), or 0 when it is not known.
static inline unsigned long long kfacd_file_system_type(const char *path) {
    struct statfs status;
    // Some architectures sign-extend the field's 32 bits.
    return statfs(path, &status) == 0 ? (unsigned int)status.f_type : 0;
}

/// Gives a file room up to a size (fallocate(2)), without changing what is readable.
///
/// Returns 0, or -1 with errno.
static inline int kfacd_allocate(int descriptor, long long byteCount) {
    return (int)syscall(SYS_fallocate, descriptor, 0, 0LL, byteCount);
}

/// Begins to write a range of a file to the disk, and does not wait (sync_file_range(2)).
static inline int kfacd_begin_writing(int descriptor, long long offset, long long byteCount) {
#ifdef SYS_sync_file_range
    // SYNC_FILE_RANGE_WRITE
    return (int)syscall(SYS_sync_file_range, descriptor, offset, byteCount, 2u);
#else
    return 0;
#endif
}

/// The part of O_TMPFILE that open(2) has besides O_DIRECTORY: a file without a name in a directory.
///
/// Glibc declares the flag only under _GNU_SOURCE. Its header is not included, because it would also declare `stat`
/// here. The value is that of all architectures but alpha, parisc and sparc.
static const int kfacd_unnamed_file = 020000000;

/// The processors that a process may run on, one bit each; the caller states the length of the mask.
///
/// Glibc declares the call only under _GNU_SOURCE, and Swift's module of Glibc does not define that. Source:
/// sched_getaffinity(2).
extern int sched_getaffinity(int process, unsigned long byteCount, void *mask);

#endif
