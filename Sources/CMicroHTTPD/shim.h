#ifndef CMICROHTTPD_SHIM_H
#define CMICROHTTPD_SHIM_H

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

// MHD_start_daemon(3) is variadic, which Swift cannot call. One thread of the library serves all connections that are
// added; it does not listen itself. Returns NULL if it cannot start.
static inline struct MHD_Daemon *cmicrohttpd_start(unsigned int connections_max, unsigned int idle_seconds,
                                                   MHD_AccessHandlerCallback answer, MHD_RequestCompletedCallback end,
                                                   MHD_NotifyConnectionCallback note, void *server) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
                            NULL, NULL, answer, server, MHD_OPTION_CONNECTION_LIMIT, connections_max,
                            MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds, MHD_OPTION_NOTIFY_COMPLETED, end, server,
                            MHD_OPTION_NOTIFY_CONNECTION, note, server, MHD_OPTION_END);
}

// MHD_get_connection_info(3) is variadic too. Returns -1 for a connection without a socket.
static inline int cmicrohttpd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

// The enumeration has no names in Swift.
static inline bool cmicrohttpd_is_start(enum MHD_ConnectionNotificationCode code) {
    return code == MHD_CONNECTION_NOTIFY_STARTED;
}

// accept4(2), which glibc declares only with _GNU_SOURCE. Returns -1 and sets errno.
static inline int cmicrohttpd_accept(int listener, struct sockaddr *address, socklen_t *byte_count) {
    return (int)syscall(SYS_accept4, listener, address, byte_count, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

#endif
