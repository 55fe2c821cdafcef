/* os_notify_test.c -- a datagram to the socket of a service manager, or nothing. */
#include "base/os_notify.h"

#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path, size_t size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, size);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

static void expect_heard(int fd, const char *text)
{
    char heard[64];
    ssize_t size = recv(fd, heard, sizeof(heard) - 1, 0);
    assert_true(size > 0);
    heard[size] = '\0';
    assert_string_equal(heard, text);
    assert_int_equal(recv(fd, heard, sizeof(heard), 0), -1); /* and no more */
}

static void the_state_arrives_at_the_socket_that_is_named(void **state)
{
    char *dir = temp_dir_new(), abstract[108] = "@weir-os-notify-test", name[108];
    const char *path = temp_dir_path(dir, "socket");
    int fd = listen_at(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    os_notify("READY=1");
    expect_heard(fd, "READY=1");
    close(fd);
    snprintf(abstract + strlen(abstract), 20, "-%d", getpid());
    memcpy(name, abstract, sizeof(name));
    name[0] = '\0';
    fd = listen_at(name, strlen(abstract));
    setenv("NOTIFY_SOCKET", abstract, 1);
    os_notify("STOPPING=1");
    expect_heard(fd, "STOPPING=1");
    close(fd);
    temp_dir_free(dir);
}

static void without_somebody_who_listens_nothing_happens(void **state)
{
    static const char *const paths[] = { "", "relative", "/nowhere/at/all",
        "@nobody-listens-here" };
    char long_path[300];
    unsetenv("NOTIFY_SOCKET");
    os_notify("READY=1");
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        setenv("NOTIFY_SOCKET", paths[i], 1);
        os_notify("READY=1");
    }
    memset(long_path, '/', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    setenv("NOTIFY_SOCKET", long_path, 1);
    int before = dup(0);
    close(before);
    os_notify("READY=1");
    int after = dup(0);
    close(after);
    assert_int_equal(after, before); /* no descriptor is left open */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_arrives_at_the_socket_that_is_named),
        cmocka_unit_test(without_somebody_who_listens_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
