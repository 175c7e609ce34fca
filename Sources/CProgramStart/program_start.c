#define _GNU_SOURCE
#include "program_start.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// OpenBLAS maps this many bytes for each of its threads, also for unused ones.
// Source: BUFFER_SIZE, 32 << 22 at most, in its common_x86_64.h and common_arm64.h.
static const unsigned long long buffer_bytes = 128ull << 20;
// Bytes for everything else until a program can report errors itself.
static const unsigned long long start_bytes = 64ull << 20;
// Our programs need a stack of this many bytes to reach `main`.
static const unsigned long long stack_bytes = 512ull << 10;
// Our programs need this many threads before they can report errors themselves, not counting those of OpenBLAS.
enum { start_threads = 8 };
// OpenBLAS starts at most this many threads.
enum { blas_threads_max = 128 };
// A trial starts at most this many threads, because it takes a moment, and a higher limit does not matter.
enum { tried_max = 512 };

static int has_looked = 0;

int kfacd_looked_at_limits(void) { return has_looked; }

int kfacd_tried_threads(void) { return has_looked ? start_threads : 0; }

// Libraries are not initialised yet, so this uses only simple functions of the C library.
static void end(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count > (int)sizeof text - 1) count = (int)sizeof text - 1;
    if (write(STDERR_FILENO, text, (size_t)count) < 0) _exit(1);
    _exit(1);
}

static int is_named(const char *entry, const char *name, int *value) {
    size_t length = strlen(name);
    if (strncmp(entry, name, length) != 0 || entry[length] != '=') return 0;
    *value = atoi(entry + length + 1);
    return *value > 0;
}

// OpenBLAS takes the number from a variable, else one thread for each processor.
static int blas_threads(char **environment) {
    static const char *const names[] = {"OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"};
    int count = 0;
    for (size_t name = 0; name < sizeof names / sizeof names[0] && count == 0; name++)
        for (char **entry = environment; entry != NULL && *entry != NULL; entry++)
            if (is_named(*entry, names[name], &count)) break;
    if (count <= 0) count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > blas_threads_max ? blas_threads_max : count;
}

static void require_bytes(int resource, const char *words, int field, unsigned long long needed, int threads) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    unsigned long long pages[7] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return;
    int count = fscanf(file, "%llu %llu %llu %llu %llu %llu %llu", &pages[0], &pages[1], &pages[2], &pages[3],
                       &pages[4], &pages[5], &pages[6]);
    fclose(file);
    if (count != 7) return;
    needed += pages[field] * (unsigned long long)sysconf(_SC_PAGESIZE);
    if (limit.rlim_cur >= needed) return;
    end("error: the limit of %s allows %llu KiB, and the program begins with %llu KiB, of which %d threads of OpenBLAS "
        "take most. Raise the limit, or set OPENBLAS_NUM_THREADS=1.\n",
        words, (unsigned long long)limit.rlim_cur >> 10, needed >> 10, threads);
}

// All threads pass a gate of readers together. A mutex would let them pass one by one, each after a turn of the
// scheduler, which takes long on a busy machine.
static void *wait_for(void *gate) {
    pthread_rwlock_rdlock(gate);
    pthread_rwlock_unlock(gate);
    return NULL;
}

int kfacd_available_threads(int wanted) {
    pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;
    pthread_attr_t attributes;
    pthread_t threads[tried_max];
    int tried = wanted < tried_max ? wanted : tried_max;
    int count = 0, failure = 0;
    pthread_attr_init(&attributes);
    // The C library refuses a stack that does not also hold the thread-local variables of all libraries.
    pthread_attr_setstacksize(&attributes, 1 << 19);
    pthread_rwlock_wrlock(&gate);
    while (count < tried && failure == 0) {
        failure = pthread_create(&threads[count], &attributes, wait_for, &gate);
        if (failure == 0) count++;
    }
    pthread_rwlock_unlock(&gate);
    // When the last one has ended, most others have too, so the join sleeps once and not for each.
    for (int index = count; index-- > 0;) pthread_join(threads[index], NULL);
    pthread_attr_destroy(&attributes);
    return failure == EAGAIN || failure == ENOMEM ? count : wanted;
}

static void require_threads(int wanted) {
    int count = kfacd_available_threads(wanted);
    if (count >= wanted) return;
    end("error: only %d of the %d threads that the program begins with can be had: a limit of processes is reached. "
        "Raise it (\"ulimit -u 4096\" in a shell, TasksMax in a service, pids.max of a control group).\n",
        count, wanted);
}

static void look_at_limits(int argument_count, char **arguments, char **environment) {
    (void)argument_count;
    (void)arguments;
    has_looked = 1;
    struct rlimit stack;
    if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur < stack_bytes)
        end("error: the limit of the stack allows %llu KiB, and %llu are needed. Raise it (\"ulimit -s 8192\" in a "
            "shell, LimitSTACK in a service).\n",
            (unsigned long long)stack.rlim_cur >> 10, stack_bytes >> 10);
    // The C library reserves 64 MiB for each thread that allocates. Without this bound it would leave nothing for
    // stacks.
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) mallopt(M_ARENA_MAX, 2);
    int threads = blas_threads(environment);
    unsigned long long needed = start_bytes + (unsigned long long)threads * buffer_bytes;
    require_bytes(RLIMIT_AS, "the address space (ulimit -v, LimitAS)", 0, needed, threads);
    require_bytes(RLIMIT_DATA, "data (ulimit -d, LimitDATA)", 5, needed, threads);
    require_threads(threads - 1 + start_threads);
}

// The loader runs a program's functions of this section before the libraries' initialisers. Source: the System V ABI,
// "Initialization and Termination Functions".
__attribute__((section(".preinit_array"), used)) static void (*const look)(int, char **, char **) = look_at_limits;
