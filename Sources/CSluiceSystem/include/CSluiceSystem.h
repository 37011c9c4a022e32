// The few system calls that Swift's libc module on Linux does not offer.
#ifndef CSLUICESYSTEM_H
#define CSLUICESYSTEM_H

#include <stdint.h>

/// Octets of a TCP socket that the peer's kernel has acknowledged since the connection began (TCP_INFO, tcpi_bytes_acked); -1 when the
/// kernel does not tell. glibc's struct tcp_info ends before this field.
int64_t sluice_bytes_acknowledged(int socket);

#endif
