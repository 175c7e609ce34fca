#define _GNU_SOURCE
#include "plain_merge.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// kfacd never fuses a product and a sum either.
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)
#define CLONED __attribute__((target_clones("avx2", "default")))
#else
#define CLONED
#endif

enum { range_bytes = 65536, files_max = 64, threads_max = 64 };

typedef uint16_t halves __attribute__((vector_size(32), aligned(2)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef float values __attribute__((vector_size(64)));

struct merge {
    int files[files_max];
    size_t file_count;
    int output;
    size_t offset;
    size_t byte_count;
    float weight;
    size_t thread_count;
};

struct part {
    const struct merge *merge;
    size_t number;
    int error;
    pthread_t thread;
};

// Merges one range. The buffers have room for a whole vector after the last element.
CLONED static void merge_range(uint16_t *const *elements, size_t file_count, float weight, uint16_t *result,
                               size_t count) {
    for (size_t first = 0; first < count; first += 16) {
        const values base = (values)(__builtin_convertvector(*(const halves *)(elements[0] + first), words) << 16);
        values sum = {0};
        for (size_t file = 1; file < file_count; file++) {
            const words bits = __builtin_convertvector(*(const halves *)(elements[file] + first), words) << 16;
            sum += weight * ((values)bits - base);
        }
        const words bits = (words)(base + sum);
        *(halves *)(result + first) = __builtin_convertvector((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16, halves);
    }
}

static int transfer(ssize_t (*call)(int, void *, size_t, off_t), int file, void *bytes, size_t count, size_t offset) {
    while (count > 0) {
        const ssize_t moved = call(file, bytes, count, (off_t)offset);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return moved < 0 ? errno : EIO;
        bytes = (char *)bytes + moved;
        count -= (size_t)moved;
        offset += (size_t)moved;
    }
    return 0;
}

static ssize_t write_bytes(int file, void *bytes, size_t count, off_t offset) {
    return pwrite(file, bytes, count, offset);
}

static void *merge_part(void *context) {
    struct part *part = context;
    const struct merge *merge = part->merge;
    const size_t stride = range_bytes / 2 + 64;
    uint16_t *buffer = aligned_alloc(64, (merge->file_count + 1) * stride * 2);
    if (buffer == NULL) {
        part->error = ENOMEM;
        return NULL;
    }
    memset(buffer, 0, (merge->file_count + 1) * stride * 2);
    uint16_t *elements[files_max + 1];
    for (size_t file = 0; file <= merge->file_count; file++) elements[file] = buffer + file * stride;
    for (size_t start = part->number * range_bytes; start < merge->byte_count && part->error == 0;
         start += merge->thread_count * range_bytes) {
        const size_t rest = merge->byte_count - start;
        const size_t count = rest < range_bytes ? rest : range_bytes;
        for (size_t file = 0; file < merge->file_count && part->error == 0; file++)
            part->error = transfer(pread, merge->files[file], elements[file], count, merge->offset + start);
        if (part->error != 0) break;
        merge_range(elements, merge->file_count, merge->weight, elements[merge->file_count], count / 2);
        part->error =
            transfer(write_bytes, merge->output, elements[merge->file_count], count, merge->offset + start);
    }
    free(buffer);
    return NULL;
}

static double wall_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static int run_parts(const struct merge *merge) {
    struct part parts[threads_max];
    size_t started = 0;
    int error = 0;
    for (; started < merge->thread_count && error == 0; started++) {
        parts[started] = (struct part){.merge = merge, .number = started};
        error = pthread_create(&parts[started].thread, NULL, merge_part, &parts[started]);
        if (error != 0) break;
    }
    for (size_t number = 0; number < started; number++) {
        pthread_join(parts[number].thread, NULL);
        if (error == 0) error = parts[number].error;
    }
    return error;
}

int kfacd_plain_merge(const char *const *paths, size_t path_count, size_t offset, size_t byte_count, float weight,
                      const char *output, size_t thread_count, struct kfacd_plain_merge_times *times) {
    if (path_count == 0 || path_count > files_max || thread_count == 0 || thread_count > threads_max) return EINVAL;
    struct merge merge = {
        .offset = offset, .byte_count = byte_count, .weight = weight, .thread_count = thread_count};
    const double processor = processor_seconds();
    const double start = wall_seconds();
    int error = 0;
    for (; merge.file_count < path_count; merge.file_count++) {
        merge.files[merge.file_count] = open(paths[merge.file_count], O_RDONLY | O_CLOEXEC);
        if (merge.files[merge.file_count] < 0) {
            error = errno;
            break;
        }
    }
    merge.output = open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (merge.output < 0 && error == 0) error = errno;
    if (error == 0) error = run_parts(&merge);
    times->merge_seconds = wall_seconds() - start;
    const double merged = wall_seconds();
    if (error == 0 && fsync(merge.output) != 0) error = errno;
    times->fsync_seconds = wall_seconds() - merged;
    times->processor_seconds = processor_seconds() - processor;
    for (size_t file = 0; file < merge.file_count; file++) close(merge.files[file]);
    if (merge.output >= 0) close(merge.output);
    return error;
}
