#ifndef CZEROMQ_SHIM_H
#define CZEROMQ_SHIM_H

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
// libzmq's stable API. ZMQ_BUILD_DRAFT_API stays undefined, because Debian's library is built without it.
#include <zmq.h>

// The Glibc module lacks <sys/eventfd.h>. Its flags are both an enum and macros, which Swift cannot import.
static inline int czeromq_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

// ioctl(2) is variadic, which Swift cannot call. Returns the bytes that wait to be read from a socket; −1 on an error.
static inline int czeromq_unread_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) == 0 ? count : -1;
}

// The Glibc module is compiled without _GNU_SOURCE, which hides this function (pthread_setname_np(3)).
extern int pthread_setname_np(pthread_t thread, const char *name);

#endif
