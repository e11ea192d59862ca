/* The floor: a relay for pairs of well-behaved clients, as little work per message as the system allows.
 *
 * It speaks what the load generators need of section 1 of docs/protocol.md without ever parsing JSON: it looks
 * for the room of a join, and swaps `target` for `sender`, which are equally long. Rooms have two members. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512
#define BUFFER (256 * 1024)
#define LONGEST (16 * 1024)
#define FILES 65536
#define ROOMS 65536
#define ID "%08x-0000-4000-8000-000000000000"
#define ID_LENGTH 36

struct room {
    struct room *next;
    int members[2];
    size_t length;
    char name[];
};

struct connection {
    int is_open;
    char id[ID_LENGTH + 1];
    struct room *room;
    size_t kept;
    uint8_t *rest;
};

static struct connection *connections[FILES];
static struct room *rooms[ROOMS];
static uint8_t in[BUFFER], out[BUFFER];

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

/* RFC 3174, for messages below 120 bytes. */
static void sha1(const char *text, size_t length, uint8_t digest[20])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, word[80];
    uint8_t blocks[128] = {0};
    size_t total = length < 56 ? 64 : 128;
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    blocks[total - 2] = (uint8_t)(length * 8 >> 8);
    blocks[total - 1] = (uint8_t)(length * 8);
    for (size_t block = 0; block < total; block += 64) {
        for (int n = 0; n < 16; n++) {
            uint32_t value;
            memcpy(&value, blocks + block + 4 * n, 4);
            word[n] = ntohl(value);
        }
        for (int n = 16; n < 80; n++)
            word[n] = rotate(word[n - 3] ^ word[n - 8] ^ word[n - 14] ^ word[n - 16], 1);
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int n = 0; n < 80; n++) {
            uint32_t mixed = n < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                             : n < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                             : n < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                      : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t next = rotate(a, 5) + mixed + e + word[n];
            e = d;
            d = c;
            c = rotate(b, 30);
            b = a;
            a = next;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
    }
    for (int n = 0; n < 5; n++) {
        uint32_t value = htonl(state[n]);
        memcpy(digest + 4 * n, &value, 4);
    }
}

static void base64(const uint8_t data[21], char text[29])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int n = 0; n < 7; n++) {
        uint32_t value = (uint32_t)data[3 * n] << 16 | (uint32_t)data[3 * n + 1] << 8 | data[3 * n + 2];
        for (int digit = 0; digit < 4; digit++)
            text[4 * n + digit] = digits[value >> (18 - 6 * digit) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

static void send_all(int fd, const void *data, size_t length)
{
    /* Sockets block when they send. A client that does not read is none of this program's worries. */
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data = (const uint8_t *)data + sent;
        length -= (size_t)sent;
    }
}

static size_t head(uint8_t *to, size_t length)
{
    to[0] = 0x81;
    if (length < 126) {
        to[1] = (uint8_t)length;
        return 2;
    }
    to[1] = 126;
    to[2] = (uint8_t)(length >> 8);
    to[3] = (uint8_t)length;
    return 4;
}

static void send_text(int fd, const char *text)
{
    uint8_t frame[512];
    size_t length = strlen(text), start = head(frame, length);
    memcpy(frame + start, text, length);
    send_all(fd, frame, start + length);
}

static int other(const struct connection *self)
{
    const struct room *room = self->room;
    if (room == NULL)
        return -1;
    int first = room->members[0];
    return first >= 0 && connections[first] == self ? room->members[1] : first;
}

static void leave(int fd)
{
    struct connection *self = connections[fd];
    struct room *room = self->room;
    if (room == NULL)
        return;
    room->members[room->members[0] == fd ? 0 : 1] = -1;
    self->room = NULL;
}

static struct room *find_room(const char *name, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t n = 0; n < length; n++)
        hash = (hash ^ (uint8_t)name[n]) * 16777619u;
    struct room **place = &rooms[hash % ROOMS];
    for (; *place != NULL; place = &(*place)->next)
        if ((*place)->length == length && memcmp((*place)->name, name, length) == 0)
            return *place;
    struct room *room = *place = malloc(sizeof *room + length);
    if (room == NULL)
        abort();
    *room = (struct room){.members = {-1, -1}, .length = length};
    memcpy(room->name, name, length);
    return room;
}

static void join(int fd, const char *payload, size_t length)
{
    static const char key[] = "\"room\":\"";
    struct connection *self = connections[fd];
    char text[256];
    const char *name = memmem(payload, length, key, sizeof key - 1);
    if (name == NULL)
        return;
    name += sizeof key - 1;
    const char *end = memchr(name, '"', (size_t)(payload + length - name));
    if (end == NULL)
        return;
    leave(fd);
    self->room = find_room(name, (size_t)(end - name));
    self->room->members[self->room->members[0] < 0 ? 0 : 1] = fd;
    send_text(fd, "{\"type\":\"joined\"}");
    int peer = other(self);
    if (peer < 0)
        return;
    snprintf(text, sizeof text, "{\"type\":\"clientJoined\",\"clientId\":\"%s\"}", self->id);
    send_text(peer, text);
    snprintf(text, sizeof text, "{\"type\":\"cameraAvailable\",\"clientId\":\"%s\"}", connections[peer]->id);
    send_text(fd, text);
}

static int starts(const char *payload, size_t length, const char *with)
{
    size_t needed = strlen(with);
    return length >= needed && memcmp(payload, with, needed) == 0;
}

/* Take a message; what is to be relayed is appended to `out`, whose new length is returned. */
static size_t take(int fd, char *payload, size_t length, size_t filled)
{
    static const char target[] = "\"target\":\"";
    struct connection *self = connections[fd];
    if (starts(payload, length, "{\"type\":\"join\"")) {
        join(fd, payload, length);
        return filled;
    }
    if (starts(payload, length, "{\"type\":\"requestStream\"")) {
        send_text(other(self), "{\"type\":\"viewerRequest\"}");
        return filled;
    }
    char *found = memmem(payload, length, target, sizeof target - 1);
    if (found == NULL)
        return filled;
    memcpy(found + 1, "sender", 6);
    memcpy(found + sizeof target - 1, self->id, ID_LENGTH);
    filled += head(out + filled, length);
    memcpy(out + filled, payload, length);
    return filled + length;
}

static void unmask(uint8_t *data, size_t length, const uint8_t key[4])
{
    uint64_t wide;
    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    size_t n = 0;
    for (; n + 8 <= length; n += 8) {
        uint64_t value;
        memcpy(&value, data + n, 8);
        value ^= wide;
        memcpy(data + n, &value, 8);
    }
    for (; n < length; n++)
        data[n] ^= key[n % 4];
}

/* How long the request was, or 0 if its end has not arrived. */
static size_t upgrade(int fd, const char *data, size_t length)
{
    static const char name[] = "Sec-WebSocket-Key: ", magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static uint32_t number;
    struct connection *self = connections[fd];
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    const char *key = memmem(data, length, name, sizeof name - 1);
    if (end == NULL || key == NULL || end - key < (ptrdiff_t)sizeof name + 23)
        return 0;
    char joined[24 + sizeof magic], accept[29], text[256];
    uint8_t digest[21] = {0};
    memcpy(joined, key + sizeof name - 1, 24);
    memcpy(joined + 24, magic, sizeof magic);
    sha1(joined, strlen(joined), digest);
    base64(digest, accept);
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
    send_all(fd, text, (size_t)size);
    snprintf(self->id, sizeof self->id, ID, ++number);
    snprintf(text, sizeof text, "{\"type\":\"welcome\",\"clientId\":\"%s\"}", self->id);
    send_text(fd, text);
    self->is_open = 1;
    return (size_t)(end + 4 - data);
}

static void end_connection(int fd)
{
    leave(fd);
    free(connections[fd]->rest);
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void receive(int fd)
{
    struct connection *self = connections[fd];
    memcpy(in, self->rest, self->kept);
    ssize_t got = recv(fd, in + self->kept, BUFFER - self->kept, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            end_connection(fd);
        return;
    }
    size_t length = self->kept + (size_t)got, position = 0, filled = 0;
    if (!self->is_open)
        position = upgrade(fd, (const char *)in, length);
    while (self->is_open && length - position >= 6) {
        uint8_t *frame = in + position;
        size_t payload = frame[1] & 0x7f, start = 2;
        if ((frame[0] & 0x0f) == 8 || payload > 126) {
            end_connection(fd);
            return;
        }
        if (payload == 126) {
            payload = (size_t)frame[2] << 8 | frame[3];
            start = 4;
        }
        if (length - position < start + 4 + payload)
            break;
        unmask(frame + start + 4, payload, frame + start);
        if (frame[0] == 0x81)
            filled = take(fd, (char *)frame + start + 4, payload, filled);
        position += start + 4 + payload;
    }
    if (filled > 0)
        send_all(other(self), out, filled);
    self->kept = length - position;
    if (self->kept > LONGEST) {
        end_connection(fd);
        return;
    }
    memcpy(self->rest, in + position, self->kept);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event events[EVENTS];
    int yes = 1, poller = epoll_create1(0);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listening, (struct sockaddr *)&address, size) < 0 || listen(listening, 1024) < 0 ||
        getsockname(listening, (struct sockaddr *)&address, &size) < 0) {
        perror("the floor cannot listen");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    epoll_ctl(poller, EPOLL_CTL_ADD, listening, &event);
    printf("http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int n = 0; n < ready; n++) {
            if (events[n].data.fd != listening) {
                receive(events[n].data.fd);
                continue;
            }
            for (int fd; (fd = accept(listening, NULL, NULL)) >= 0;) {
                struct connection *self = fd < FILES ? calloc(1, sizeof *self) : NULL;
                if (self == NULL || (self->rest = malloc(LONGEST)) == NULL)
                    abort();
                connections[fd] = self;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
