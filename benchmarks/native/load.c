/* Pairs of clients that send to each other, as fast as messages arrive or at an even rate.
 *
 * Connections come ready from benchmarks/load.py: in their rooms, with the frames that each is to send. */

#define _GNU_SOURCE
#include <sys/epoll.h>

#include "websocket.h"

#define EVENTS 128
/* Messages of one sender that may be under way; a power of two. */
#define RING 4096

/* As benchmarks/load.py fills it in. */
struct client {
    int32_t fd;
    int32_t peer;
    const uint8_t *burst;
    uint32_t message_length;
    uint32_t arriving_length;
};

struct lane {
    struct stream stream;
    struct client client;
    uint64_t *sent_at;
    uint32_t sent, arrived;
};

struct load {
    int epoll, count;
    uint32_t in_flight;
    struct lane *lanes;
    uint8_t *buffer;
    uint64_t *latencies;
    size_t noted, room;
};

static int send_messages(struct lane *lane, uint32_t count, uint64_t now)
{
    if (lane->sent + count - lane->arrived > RING)
        return FULL;
    for (uint32_t n = 0; n < count; n++)
        lane->sent_at[lane->sent++ % RING] = now;
    return send_all(lane->client.fd, lane->client.burst, (size_t)count * lane->client.message_length);
}

static int note(struct load *load, uint64_t latency)
{
    if (load->noted == load->room) {
        size_t room = load->room ? load->room * 2 : 1 << 20;
        uint64_t *larger = realloc(load->latencies, room * sizeof *larger);
        if (larger == NULL)
            return SYSTEM;
        load->latencies = larger;
        load->room = room;
    }
    load->latencies[load->noted++] = latency;
    return DONE;
}

static int on_frame(void *context, int index, uint64_t now, uint8_t first, const uint8_t *payload,
                    size_t length)
{
    struct load *load = context;
    struct lane *receiver = &load->lanes[index], *sender = &load->lanes[receiver->client.peer];
    if (first == FINAL_TEXT && length == receiver->client.arriving_length) {
        if (sender->arrived == sender->sent)
            return UNEXPECTED;
        return note(load, now - sender->sent_at[sender->arrived++ % RING]);
    }
    if (first == FINAL_PING)
        return send_short(receiver->client.fd, FINAL_PONG, payload, length);
    /* The ping of Engine.IO, which has one of its own. */
    if (first == FINAL_TEXT && length == 1 && payload[0] == '2')
        return send_short(receiver->client.fd, FINAL_TEXT, (const uint8_t *)"3", 1);
    return UNEXPECTED;
}

struct load *load_new(const struct client *clients, int count, uint32_t in_flight)
{
    struct load *load = calloc(1, sizeof *load);
    if (load == NULL)
        return NULL;
    load->count = count;
    load->in_flight = in_flight;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->lanes = calloc((size_t)count, sizeof *load->lanes);
    load->buffer = malloc(BUFFER);
    if (load->epoll < 0 || load->lanes == NULL || load->buffer == NULL)
        return NULL;
    for (int n = 0; n < count; n++) {
        struct lane *lane = &load->lanes[n];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)n};
        lane->client = clients[n];
        lane->stream = (struct stream){.fd = clients[n].fd, .is_open = 1};
        lane->sent_at = calloc(RING, sizeof *lane->sent_at);
        if (lane->sent_at == NULL || epoll_ctl(load->epoll, EPOLL_CTL_ADD, clients[n].fd, &event) < 0)
            return NULL;
    }
    return load;
}

/* Each client sends `in_flight` messages in one piece when the last of those before has arrived. */
int load_saturate(struct load *load, double seconds)
{
    struct epoll_event events[EVENTS];
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    for (int n = 0; n < load->count; n++) {
        struct lane *lane = &load->lanes[n];
        int failure = lane->sent == lane->arrived ? send_messages(lane, load->in_flight, now_ns()) : DONE;
        if (failure)
            return failure;
    }
    while (now_ns() < end) {
        int ready = epoll_wait(load->epoll, events, EVENTS, 10);
        for (int n = 0; n < ready; n++) {
            int index = (int)events[n].data.u32;
            struct lane *lane = &load->lanes[index], *sender = &load->lanes[lane->client.peer];
            int failure = read_frames(&lane->stream, load->buffer, on_frame, load, index);
            if (failure == DONE && sender->arrived == sender->sent)
                failure = send_messages(sender, load->in_flight, now_ns());
            if (failure)
                return failure;
        }
    }
    return DONE;
}

/* The clients send in turn, `rate` messages a second in all; waits in a loop to be on time. */
int load_pace(struct load *load, double seconds, double rate)
{
    struct epoll_event events[EVENTS];
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), sent = 0, now;
    while ((now = now_ns()) < end) {
        while (now >= start + (uint64_t)((double)sent * 1e9 / rate)) {
            int failure = send_messages(&load->lanes[sent++ % (uint64_t)load->count], 1, now);
            if (failure)
                return failure;
            now = now_ns();
        }
        /* Few at a time, so that the next message is not late. */
        int ready = epoll_wait(load->epoll, events, 4, 0);
        for (int n = 0; n < ready; n++) {
            int index = (int)events[n].data.u32;
            int failure = read_frames(&load->lanes[index].stream, load->buffer, on_frame, load, index);
            if (failure)
                return failure;
        }
    }
    return DONE;
}

static int compare(const void *one, const void *other)
{
    uint64_t left = *(const uint64_t *)one, right = *(const uint64_t *)other;
    return (left > right) - (left < right);
}

/* How many messages arrived since the last call, and in what time: p50 and p99 in nanoseconds. */
uint64_t load_take(struct load *load, uint64_t *p50, uint64_t *p99)
{
    size_t count = load->noted;
    load->noted = 0;
    if (count == 0)
        return 0;
    qsort(load->latencies, count, sizeof *load->latencies, compare);
    *p50 = load->latencies[count / 2];
    *p99 = load->latencies[count - 1 - count / 100];
    return count;
}
