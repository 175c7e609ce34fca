#ifndef CMICROHTTPD_SHIM_H
#define CMICROHTTPD_SHIM_H

#include <microhttpd.h>

// MHD_start_daemon(3) is variadic, which Swift cannot call. One thread of the library serves all connections. It takes
// over `listener`, a socket that listens already. Returns NULL if it cannot start.
static inline struct MHD_Daemon *cmicrohttpd_start(int listener, unsigned int connections_max,
                                                   unsigned int idle_seconds, MHD_AccessHandlerCallback answer,
                                                   MHD_RequestCompletedCallback end, void *server) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, server,
                            MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, connections_max,
                            MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds, MHD_OPTION_NOTIFY_COMPLETED, end, server,
                            MHD_OPTION_END);
}

#endif
