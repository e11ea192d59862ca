/* What both load generators share: a clock, and the frames of a server as they come out of a stream. */

#ifndef BENCHMARKS_WEBSOCKET_H
#define BENCHMARKS_WEBSOCKET_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FINAL_TEXT 0x81
#define FINAL_PING 0x89
#define FINAL_PONG 0x8a
#define BUFFER (256 * 1024)
/* The longest part of a frame that may wait for the rest of it. */
#define LONGEST (16 * 1024)

/* The reasons are told to people by benchmarks/compiled.py. */
enum failure { DONE = 0, CLOSED = -1, FULL = -2, UNEXPECTED = -3, LATE = -4, REFUSED = -5, SYSTEM = -6 };

/* One connection. `rest` is the start of a frame whose end has not arrived. */
struct stream {
    int fd;
    int is_open;
    size_t kept;
    uint8_t *rest;
};

/* Takes a whole frame: its first byte and its payload. */
typedef int (*frame_handler)(void *context, int index, uint64_t now, uint8_t first, const uint8_t *payload,
                             size_t length);

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int send_all(int fd, const uint8_t *data, size_t length)
{
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    if (sent == (ssize_t)length)
        return DONE;
    /* What is under way is far below the buffer of a socket, so all of it must fit. */
    return sent >= 0 || errno == EAGAIN ? FULL : CLOSED;
}

/* A short frame, masked as clients have to. */
static inline int send_short(int fd, uint8_t first, const uint8_t *payload, size_t length)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t frame[6 + 125] = {first, (uint8_t)(0x80 | length), mask[0], mask[1], mask[2], mask[3]};
    if (length > 125)
        return UNEXPECTED;
    for (size_t n = 0; n < length; n++)
        frame[6 + n] = payload[n] ^ mask[n % 4];
    return send_all(fd, frame, 6 + length);
}

/* How long the answer to the handshake is, 0 if its end has not arrived, or a failure. */
static inline int upgrade_length(const uint8_t *data, size_t length)
{
    static const char accepted[] = "HTTP/1.1 101";
    const uint8_t *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    if (memcmp(data, accepted, sizeof accepted - 1) != 0)
        return REFUSED;
    return (int)(end + 4 - data);
}

/* Read once and hand on every whole frame. `buffer` has BUFFER bytes and may serve all streams. */
static inline int read_frames(struct stream *stream, uint8_t *buffer, frame_handler handle, void *context,
                              int index)
{
    if (stream->kept > 0)
        memcpy(buffer, stream->rest, stream->kept);
    ssize_t got = recv(stream->fd, buffer + stream->kept, BUFFER - stream->kept, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return DONE;
    if (got <= 0)
        return CLOSED;
    uint64_t now = now_ns();
    size_t length = stream->kept + (size_t)got, position = 0;
    if (!stream->is_open) {
        int head = upgrade_length(buffer, length);
        if (head < 0)
            return head;
        position = (size_t)head;
        stream->is_open = head > 0;
    }
    while (stream->is_open && length - position >= 2) {
        size_t start = position + 2, payload = buffer[position + 1];
        if (payload > 126)
            return UNEXPECTED;
        if (payload == 126) {
            if (length - position < 4)
                break;
            payload = (size_t)buffer[position + 2] << 8 | buffer[position + 3];
            start += 2;
        }
        if (length - start < payload)
            break;
        int failure = handle(context, index, now, buffer[position], buffer + start, payload);
        if (failure)
            return failure;
        position = start + payload;
    }
    stream->kept = length - position;
    if (stream->kept == 0)
        return DONE;
    if (stream->kept > LONGEST)
        return UNEXPECTED;
    if (stream->rest == NULL && (stream->rest = malloc(LONGEST)) == NULL)
        return SYSTEM;
    memcpy(stream->rest, buffer + position, stream->kept);
    return DONE;
}

#endif
