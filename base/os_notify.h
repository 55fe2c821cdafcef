/* os_notify.h -- tells the service manager that has started us how it goes: systemd's sd_notify protocol.
 *
 * One datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)). Without it nothing happens; nothing ever
 * fails because of it.
 * Prefixes: os_
 * Thread: any. */
#ifndef WEIR_BASE_OS_NOTIFY_H
#define WEIR_BASE_OS_NOTIFY_H

void os_notify(const char *state); /* "READY=1", "STOPPING=1", "STATUS=..." */

#endif
