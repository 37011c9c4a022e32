// What SluiceSSH needs of libssh2 1.10 and Swift cannot say itself: callbacks travel through `void *`, and macros with casts are not imported.
#ifndef SLUICE_CLIBSSH2_SHIM_H
#define SLUICE_CLIBSSH2_SHIM_H

#include <libssh2.h>
#include <stdlib.h>

typedef ssize_t (*sluice_ssh2_recv)(libssh2_socket_t, void *, size_t, int, void **);
typedef ssize_t (*sluice_ssh2_send)(libssh2_socket_t, const void *, size_t, int, void **);
typedef void (*sluice_ssh2_disconnect)(LIBSSH2_SESSION *, int, const char *, int, const char *, int, void **);
typedef int (*sluice_ssh2_sign)(LIBSSH2_SESSION *, unsigned char **, size_t *, const unsigned char *, size_t, void **);

/// Takes the session off the socket: bytes come from `receive` and go to `send`; `disconnect` hears why the server says goodbye.
static inline void sluice_ssh2_set_callbacks(
    LIBSSH2_SESSION *session, sluice_ssh2_recv receive, sluice_ssh2_send send, sluice_ssh2_disconnect disconnect) {
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, (void *)receive);
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_SEND, (void *)send);
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_DISCONNECT, (void *)disconnect);
}

#endif
