/* Many clients at once: they connect and join, idle, or hear of one who comes and goes in their room.
 *
 * Speaks section 1 of docs/protocol.md; benchmarks/crowd.py says who joins what. */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "websocket.h"

#define EVENTS 512
/* Connections that are begun before the sockets are looked at again. */
#define BATCH 32
/* Broadcasts that may be under way; a power of two. */
#define RING 4096

struct member {
    struct stream stream;
    int has_asked, has_sent_join, has_joined;
    const uint8_t *join;
    uint32_t join_length;
    uint64_t begun_at, joined_at;
    uint64_t heard;
};

struct crowd {
    int epoll, count;
    uint16_t port;
    const uint8_t *handshake;
    size_t handshake_length;
    struct member *members;
    uint8_t *buffer;
    int begun, opened, joined;
    uint64_t texts, pings;
    /* Broadcasts: all members hear all of them, in one order. */
    int listeners;
    uint64_t sent, complete;
    uint64_t sent_at[RING], took[RING];
    uint32_t heard_by[RING];
};

static int take_text(struct crowd *crowd, int index, uint64_t now, const uint8_t *payload, size_t length)
{
    static const char joined[] = "\"type\":\"joined\"", client[] = "{\"type\":\"client";
    struct member *member = &crowd->members[index];
    crowd->texts++;
    if (!member->has_sent_join) {
        member->has_sent_join = 1;
        crowd->opened++;
        return send_all(member->stream.fd, member->join, member->join_length);
    }
    if (!member->has_joined) {
        if (memmem(payload, length, joined, sizeof joined - 1) == NULL)
            return UNEXPECTED;
        member->has_joined = 1;
        member->joined_at = now;
        crowd->joined++;
        return DONE;
    }
    if (crowd->listeners == 0 || index >= crowd->listeners)
        return DONE;
    uint64_t number = member->heard++, slot = number % RING;
    if (number >= crowd->sent || length < sizeof client || memcmp(payload, client, sizeof client - 1) != 0 ||
        payload[sizeof client - 1] != (number % 2 == 0 ? 'J' : 'D'))
        return UNEXPECTED;
    if (++crowd->heard_by[slot] == (uint32_t)crowd->listeners) {
        crowd->took[slot] = now - crowd->sent_at[slot];
        crowd->complete++;
    }
    return DONE;
}

static int on_frame(void *context, int index, uint64_t now, uint8_t first, const uint8_t *payload,
                    size_t length)
{
    struct crowd *crowd = context;
    if (first == FINAL_TEXT)
        return take_text(crowd, index, now, payload, length);
    if (first != FINAL_PING)
        return UNEXPECTED;
    crowd->pings++;
    return send_short(crowd->members[index].stream.fd, FINAL_PONG, payload, length);
}

/* `joins` holds the frames one after the other; that of member n ends before `ends[n]`. */
struct crowd *crowd_new(uint16_t port, int count, const uint8_t *handshake, size_t handshake_length,
                        const uint8_t *joins, const uint32_t *ends)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (crowd == NULL)
        return NULL;
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->members = calloc((size_t)count, sizeof *crowd->members);
    crowd->buffer = malloc(BUFFER);
    if (crowd->epoll < 0 || crowd->members == NULL || crowd->buffer == NULL)
        return NULL;
    crowd->port = port;
    crowd->count = count;
    crowd->handshake = handshake;
    crowd->handshake_length = handshake_length;
    for (int n = 0; n < count; n++) {
        uint32_t start = n == 0 ? 0 : ends[n - 1];
        crowd->members[n].join = joins + start;
        crowd->members[n].join_length = ends[n] - start;
    }
    return crowd;
}

static int watch(struct crowd *crowd, int operation, int index, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.u32 = (uint32_t)index};
    return epoll_ctl(crowd->epoll, operation, crowd->members[index].stream.fd, &event) < 0 ? SYSTEM : DONE;
}

/* FULL is no failure here: the connection is not made yet. */
static int ask(struct crowd *crowd, struct member *member)
{
    int failure = send_all(member->stream.fd, crowd->handshake, crowd->handshake_length);
    member->has_asked = failure == DONE;
    return failure;
}

static int begin(struct crowd *crowd, int index)
{
    struct member *member = &crowd->members[index];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(crowd->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    member->begun_at = now_ns();
    member->stream.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (member->stream.fd < 0)
        return SYSTEM;
    setsockopt(member->stream.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(member->stream.fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        return SYSTEM;
    crowd->begun++;
    /* Over loopback the connection is made by now, unless the server's queue was full. */
    int failure = ask(crowd, member);
    if (failure == FULL)
        return watch(crowd, EPOLL_CTL_ADD, index, EPOLLIN | EPOLLOUT);
    return failure ? failure : watch(crowd, EPOLL_CTL_ADD, index, EPOLLIN);
}

static int look(struct crowd *crowd, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(crowd->epoll, events, EVENTS, timeout_ms);
    for (int n = 0; n < ready; n++) {
        int index = (int)events[n].data.u32, failure = DONE;
        struct member *member = &crowd->members[index];
        if (!member->has_asked) {
            failure = ask(crowd, member);
            if (failure == DONE)
                failure = watch(crowd, EPOLL_CTL_MOD, index, EPOLLIN);
        } else {
            failure = read_frames(&member->stream, crowd->buffer, on_frame, crowd, index);
        }
        if (failure)
            return failure;
    }
    return DONE;
}

/* All connect and join; at most `window` wait for their welcome, so that no queue of a server is full. */
int crowd_storm(struct crowd *crowd, int window, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (crowd->joined < crowd->count) {
        for (int n = 0; n < BATCH && crowd->begun < crowd->count && crowd->begun - crowd->opened < window; n++) {
            int failure = begin(crowd, crowd->begun);
            if (failure)
                return failure;
        }
        int is_waiting = crowd->begun == crowd->count || crowd->begun - crowd->opened >= window;
        int failure = look(crowd, is_waiting ? 10 : 0);
        if (failure)
            return failure;
        if (now_ns() > end)
            return LATE;
    }
    return DONE;
}

/* When each began and had joined, in nanoseconds of the monotonic clock. */
void crowd_times(const struct crowd *crowd, uint64_t *begun, uint64_t *joined)
{
    for (int n = 0; n < crowd->count; n++) {
        begun[n] = crowd->members[n].begun_at;
        joined[n] = crowd->members[n].joined_at;
    }
}

/* Read until so many messages have come to all of them together. */
int crowd_hear(struct crowd *crowd, uint64_t texts, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (crowd->texts < texts) {
        int failure = now_ns() > end ? LATE : look(crowd, 10);
        if (failure)
            return failure;
    }
    return DONE;
}

/* Answer pings and do nothing else; how many there were is in `pings`. */
int crowd_idle(struct crowd *crowd, double seconds, uint64_t *pings)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), before = crowd->pings;
    while (now_ns() < end) {
        int failure = look(crowd, 10);
        if (failure)
            return failure;
    }
    *pings = crowd->pings - before;
    return DONE;
}

/* The last member enters the room of all others by `messages[0]` and leaves it by `messages[1]`, again and
 * again: at `rate` joins a second, or if 0 with `window` broadcasts under way. Ends when all have heard all.
 * `took` gets, for each join, the time until the last member had heard of it. */
int crowd_churn(struct crowd *crowd, const uint8_t *const messages[2], const uint32_t lengths[2], int window,
                double rate, double seconds, double patience, uint64_t *took, uint64_t room, uint64_t *joins,
                uint64_t *all_took)
{
    int mover = crowd->members[crowd->count - 1].stream.fd;
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), noted = 0, now = start;
    uint64_t last = end + (uint64_t)(patience * 1e9);
    crowd->listeners = crowd->count - 1;
    crowd->sent = crowd->complete = 0;
    memset(crowd->heard_by, 0, sizeof crowd->heard_by);
    for (int n = 0; n < crowd->listeners; n++)
        crowd->members[n].heard = 0;
    for (;;) {
        while (crowd->sent - crowd->complete < (rate > 0 ? RING : (uint64_t)window)) {
            uint64_t slot = crowd->sent % RING;
            now = now_ns();
            /* Whoever has entered leaves again, so that the next call finds the room as it was. */
            if (crowd->sent % 2 == 0 && now >= end)
                break;
            if (rate > 0 && now < start + (uint64_t)((double)crowd->sent * 1e9 / (2 * rate)))
                break;
            crowd->sent_at[slot] = now;
            crowd->heard_by[slot] = 0;
            int failure = send_all(mover, messages[crowd->sent % 2], lengths[crowd->sent % 2]);
            if (failure)
                return failure;
            crowd->sent++;
        }
        int failure = look(crowd, rate > 0 ? 0 : 10);
        if (failure)
            return failure;
        for (; noted < crowd->complete; noted++)
            if (noted % 2 == 0 && noted / 2 < room)
                took[noted / 2] = crowd->took[noted % RING];
        now = now_ns();
        if (now >= end && crowd->sent % 2 == 0 && crowd->complete == crowd->sent)
            break;
        if (now > last)
            return LATE;
    }
    crowd->listeners = 0;
    *joins = crowd->complete / 2;
    *all_took = now - start;
    return DONE;
}

/* Cut all connections: a farewell would leave ten thousand ports waiting. */
void crowd_close(struct crowd *crowd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (int n = 0; n < crowd->begun; n++) {
        setsockopt(crowd->members[n].stream.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(crowd->members[n].stream.fd);
        free(crowd->members[n].stream.rest);
    }
    close(crowd->epoll);
    free(crowd->members);
    free(crowd->buffer);
    free(crowd);
}
