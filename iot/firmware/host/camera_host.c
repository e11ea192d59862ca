/* The signaling core as a camera on any POSIX machine: camera_host HOST PORT ROOM CAMERA_ID MOST_VIEWERS SDP_FILE
 *
 * It has no media. For each viewer it sends an offer, or an answer, with the SDP in a file, and one candidate;
 * what happens comes out as lines. The WebSocket (RFC 6455) is as much as a client of this server needs, and
 * plain ws:// only.
 */
#define _POSIX_C_SOURCE 200809L

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cctvsignal.h"

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, CONNECT_MS = 5000 };

static cctv_camera camera;
static char sdp[16384];
static char message[65536];     /* the largest that the server takes: 64 KiB */
static unsigned char received[65536 + 14];
static size_t received_length;
static int close_code;
static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

static int send_all(int connection, const void *bytes, size_t length)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t sent = send(connection, at, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return -1;
        }
        at += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static void print_line(const char *what, int viewer, const char *text)
{
    printf("%s %d %s\n", what, viewer, text == NULL ? "-" : text);
    fflush(stdout);
}

/* One frame; clients have to mask theirs (RFC 6455, section 5.3). */
static int send_frame(int connection, int opcode, const char *payload, size_t length)
{
    static unsigned char frame[65536 + 14];
    unsigned char mask[4] = {(unsigned char)rand(), (unsigned char)rand(), (unsigned char)rand(), (unsigned char)rand()};
    size_t at = 0;

    frame[at++] = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        frame[at++] = (unsigned char)(0x80 | length);
    } else {
        frame[at++] = 0x80 | 126;
        frame[at++] = (unsigned char)(length >> 8);
        frame[at++] = (unsigned char)length;
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t byte = 0; byte < length; byte++) {
        frame[at++] = (unsigned char)((unsigned char)payload[byte] ^ mask[byte % 4]);
    }
    return send_all(connection, frame, at);
}

static int say(int connection, size_t length)
{
    return length == 0 ? -1 : send_frame(connection, TEXT, message, length);
}

/* What cannot be said to a viewer ends its session, and nothing else. */
static int say_sdp(int connection, int viewer, size_t length)
{
    if (length == 0) {
        print_line("too long for", viewer, NULL);
        length = cctv_write_bye(&camera, viewer, "limitExceeded", message, sizeof message);
    }
    return say(connection, length);
}

static int open_connection(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int connection = -1;

    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return -1;
    }
    for (struct addrinfo *each = found; each != NULL && connection < 0; each = each->ai_next) {
        connection = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (connection >= 0 && connect(connection, each->ai_addr, each->ai_addrlen) != 0) {
            close(connection);
            connection = -1;
        }
    }
    freeaddrinfo(found);
    return connection;
}

/* The opening handshake (RFC 6455, section 4.1). The key only has to be one: whether the server understood it,
 * its status says. */
static int shake_hands(int connection, const char *host, const char *port)
{
    char head[1024];
    size_t length = 0;
    int wanted = snprintf(head, sizeof head,
                          "GET /ws HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: Y2N0dnNpZ25hbC1ob3N0IQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          host, port);

    if (send_all(connection, head, (size_t)wanted) != 0) {
        return -1;
    }
    while (length < sizeof head - 1) {
        struct pollfd readable = {.fd = connection, .events = POLLIN};
        if (poll(&readable, 1, CONNECT_MS) != 1 || recv(connection, head + length, 1, 0) != 1) {
            return -1;
        }
        head[++length] = '\0';
        if (length >= 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0) {
            return strncmp(head, "HTTP/1.1 101", 12) == 0 ? 0 : -1;
        }
    }
    return -1;
}

/* So that whoever reads it can tell whether it came byte for byte. */
static void print_sdp(const char *what, int viewer, const char *text)
{
    uint32_t sum = 0;

    for (const char *at = text; *at != '\0'; at++) {
        sum = sum * 31 + (unsigned char)*at;
    }
    printf("%s %d %zu bytes, sum %lu\n", what, viewer, strlen(text), (unsigned long)sum);
    fflush(stdout);
}

/* What a message of the server asks for. */
static int act(int connection, char *text, size_t length)
{
    cctv_event event = cctv_receive(&camera, text, length);
    int viewer = event.viewer;

    switch (event.type) {
    case CCTV_WELCOME:
        print_line("welcome", viewer, event.ice.url);
        return say(connection, cctv_write_join(&camera, message, sizeof message));
    case CCTV_JOINED:
        print_line("joined", viewer, NULL);
        return 0;
    case CCTV_VIEWER:
        print_line("viewer", viewer, NULL);
        if (say_sdp(connection, viewer, cctv_write_offer(&camera, viewer, sdp, message, sizeof message)) != 0) {
            return -1;
        }
        length = cctv_write_candidate(&camera, viewer, "candidate:1 1 udp 2130706431 192.0.2.1 9 typ host", message,
                                      sizeof message);
        return length == 0 ? 0 : say(connection, length);
    case CCTV_OFFER:
        print_sdp("offer", viewer, event.text);
        return say_sdp(connection, viewer, cctv_write_answer(&camera, viewer, sdp, message, sizeof message));
    case CCTV_ANSWER:
        print_sdp("answer", viewer, event.text);
        return 0;
    case CCTV_CANDIDATE:
        print_line("candidate", viewer, event.text);
        return 0;
    case CCTV_GONE:
        print_line("gone", viewer, event.text);
        return 0;
    case CCTV_TOO_LARGE:
        print_line("too large", viewer, event.text);
        return say(connection, cctv_write_bye(&camera, viewer, event.text, message, sizeof message));
    case CCTV_FULL:
        print_line("full", viewer, NULL);
        return say(connection, cctv_write_bye(&camera, viewer, "all places are taken", message, sizeof message));
    case CCTV_REFUSED:
        print_line("refused", viewer, event.code);
        return 0;
    case CCTV_NOTHING:
        return 0;
    }
    return 0;
}

/* The first frame of what was received: its length with its head, 0 if it is not complete, -1 to end. */
static long take_frame(int connection)
{
    unsigned char *frame = received;
    size_t head = 2;
    size_t length;

    if (received_length < 2) {
        return 0;
    }
    length = frame[1] & 0x7F;
    if (length == 127) {
        return -1;              /* longer than anything that the server sends */
    }
    if (length == 126) {
        if (received_length < 4) {
            return 0;
        }
        length = (size_t)frame[2] << 8 | frame[3];
        head = 4;
    }
    if (received_length < head + length) {
        return 0;
    }
    char *payload = (char *)frame + head;
    switch (frame[0] & 0x0F) {
    case TEXT:
        if (act(connection, payload, length) != 0) {
            return -1;
        }
        break;
    case PING:
        if (send_frame(connection, PONG, payload, length) != 0) {
            return -1;
        }
        break;
    case CLOSE:
        close_code = length >= 2 ? (unsigned char)payload[0] << 8 | (unsigned char)payload[1] : 0;
        send_frame(connection, CLOSE, payload, length < 2 ? 0 : 2);
        return -1;
    default:
        break;
    }
    return (long)(head + length);
}

static void run(int connection)
{
    received_length = 0;
    while (!ended) {
        ssize_t length = recv(connection, received + received_length, sizeof received - received_length, 0);
        if (length <= 0) {
            return;
        }
        received_length += (size_t)length;
        for (long taken; (taken = take_frame(connection)) != 0;) {
            if (taken < 0) {
                return;
            }
            received_length -= (size_t)taken;
            memmove(received, received + taken, received_length);
        }
    }
}

int main(int count, char **arguments)
{
    FILE *file = count == 7 ? fopen(arguments[6], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: camera_host HOST PORT ROOM CAMERA_ID MOST_VIEWERS SDP_FILE\n");
        return 2;
    }
    sdp[fread(sdp, 1, sizeof sdp - 1, file)] = '\0';
    fclose(file);
    cctv_config config = {.room = arguments[3], .camera_id = arguments[4], .meta = "{\"name\":\"Host\"}",
                          .most_viewers = atoi(arguments[5])};
    struct sigaction action = {.sa_handler = end};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    srand((unsigned)now_ms() ^ (unsigned)getpid());
    cctv_init(&camera, &config);
    while (!ended) {
        long begin = now_ms();
        int connection = open_connection(arguments[1], arguments[2]);
        close_code = 0;
        if (connection >= 0) {
            if (shake_hands(connection, arguments[1], arguments[2]) == 0) {
                run(connection);
            }
            close(connection);
        }
        uint32_t pause = cctv_retry_ms(&camera, close_code, (uint32_t)(now_ms() - begin), (uint32_t)rand());
        if (pause == CCTV_STAY_AWAY) {
            print_line("away", close_code, NULL);
            return 1;
        }
        if (!ended) {
            print_line("lost", close_code, NULL);
            poll(NULL, 0, (int)pause);
        }
    }
    return 0;
}
