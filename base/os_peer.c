/* os_peer.c -- see os_peer.h. Prefixes: os_ */
#include "base/os_peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a message of netlink. Thread: its owner. */
struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};
union answer {
    struct {
        struct nlmsghdr head;
        union {
            struct inet_diag_msg socket;
            struct nlmsgerr error;
        };
    };
    char bytes[4096]; /* and attributes that nobody has asked for */
};

static weir_error *unknown(int code)
{
    return weir_errorf(WEIR_E_USAGE, "it cannot be told whose the other end is (%s)",
        strerrordesc_np(code));
}

static void put_address(const struct sockaddr_storage *name, __be32 address[4], __be16 *port)
{
    if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
        memcpy(address, &six->sin6_addr, sizeof(six->sin6_addr));
        *port = six->sin6_port;
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)name;
        memcpy(address, &four->sin_addr, sizeof(four->sin_addr));
        *port = four->sin_port;
    }
}

/* About the socket whose own address is the peer's of this one. */
static weir_error *make_question(int fd, struct question *question)
{
    struct sockaddr_storage peer, own;
    socklen_t peer_size = sizeof(peer), own_size = sizeof(own);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &own_size) != 0)
        return unknown(errno);
    if (peer.ss_family != AF_INET && peer.ss_family != AF_INET6)
        return unknown(EAFNOSUPPORT);
    *question = (struct question){
        .head = { .nlmsg_len = sizeof(*question),
            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
            .nlmsg_flags = NLM_F_REQUEST },
        .body = { .sdiag_family = (__u8)peer.ss_family,
            .sdiag_protocol = IPPROTO_TCP,
            .idiag_states = UINT32_MAX,
            .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
    };
    put_address(&peer, question->body.id.idiag_src, &question->body.id.idiag_sport);
    put_address(&own, question->body.id.idiag_dst, &question->body.id.idiag_dport);
    return NULL;
}

/* The kernel answers before send returns. Connected, the socket takes messages of the kernel only. */
static int ask(const struct question *question, union answer *answer, size_t *size)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), code = 0;
    if (fd < 0)
        return errno;
    ssize_t got = -1;
    if (connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) == 0 &&
        send(fd, question, sizeof(*question), 0) == (ssize_t)sizeof(*question))
        got = recv(fd, answer, sizeof(*answer), MSG_DONTWAIT);
    if (got < 0)
        code = errno;
    close(fd);
    *size = got < 0 ? 0 : (size_t)got;
    return code;
}

static weir_error *judge(const struct question *question, const union answer *answer, size_t size)
{
    const struct inet_diag_msg *found = &answer->socket;
    const struct inet_diag_sockid *asked = &question->body.id;
    uint32_t own = geteuid();
    if (size >= NLMSG_LENGTH(sizeof(answer->error)) && answer->head.nlmsg_type == NLMSG_ERROR) {
        if (answer->error.error == -ENOENT)
            return weir_errorf(WEIR_E_USAGE, "the other end is gone, or is not in this network "
                                             "namespace");
        return unknown(-answer->error.error);
    }
    if (size < NLMSG_LENGTH(sizeof(*found)) || answer->head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        found->id.idiag_sport != asked->idiag_sport || found->id.idiag_dport != asked->idiag_dport)
        return unknown(EPROTO); /* a listener there is no connection, either */
    if (found->idiag_inode == 0)
        return weir_errorf(WEIR_E_USAGE,
            "nobody has the other end: it is closed, or not accepted yet");
    if (found->idiag_uid == 0 || found->idiag_uid == own)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "one end of the connection belongs to user %u, the other one to user %u", found->idiag_uid,
        own);
}

weir_error *os_peer_check(int fd)
{
    struct question question;
    union answer answer;
    size_t size = 0;
    WEIR_TRY(make_question(fd, &question));
    int code = ask(&question, &answer, &size);
    return code != 0 ? unknown(code) : judge(&question, &answer, size);
}
