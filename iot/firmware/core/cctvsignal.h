/* The camera's side of the cctvsignal protocol (docs/protocol.md, version 1), without I/O, clock or heap.
 *
 * Whoever has the WebSocket gives each text message to `cctv_receive` and does what the event says; the
 * `cctv_write_...` functions make the messages to send. Everything is in one `cctv_camera`, which is not for
 * several threads at a time.
 */
#ifndef CCTVSIGNAL_H
#define CCTVSIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CCTV_MOST_VIEWERS
#define CCTV_MOST_VIEWERS 4
#endif
/* More than any real peer sends, and never less than browsers do; a chip may have less memory than that. */
#ifndef CCTV_MOST_SDP_BYTES
#define CCTV_MOST_SDP_BYTES 32768
#endif
#define CCTV_MOST_SECTIONS 32       /* m= lines of an SDP */
#define CCTV_MOST_CANDIDATES 256    /* in an SDP, and as many again one by one */
#define CCTV_MOST_EARLY_CANDIDATES 32 /* one by one, before there is an SDP of the viewer */
#define CCTV_MOST_CANDIDATE_BYTES 2048
#define CCTV_ID_BYTES 65        /* of the longest client id there may be, with its 0 */
#define CCTV_NOBODY (-1)
#define CCTV_STAY_AWAY UINT32_MAX

/* The strings have to stay where they are. */
typedef struct {
    const char *room;           /* NULL: "default" */
    const char *camera_id;
    const char *meta;           /* a JSON object for viewers, such as {"name":"Porch"}; or NULL */
    int most_viewers;           /* from 1 to CCTV_MOST_VIEWERS */
} cctv_config;

typedef struct {
    char id[CCTV_ID_BYTES];     /* "": this place is free */
    bool is_described;          /* its SDP has come */
    uint16_t candidates;        /* that came one by one */
} cctv_viewer;

typedef struct {
    cctv_config config;
    uint32_t attempts;          /* to come back, since a connection held */
    uint32_t most_bytes;        /* of a message, by the server's welcome; 0: it names no limit */
    cctv_viewer viewers[CCTV_MOST_VIEWERS + 1]; /* the last one is who was refused */
} cctv_camera;

typedef enum {
    CCTV_NOTHING,               /* nothing that concerns a camera */
    CCTV_WELCOME,               /* connected: send `cctv_write_join`. `ice` may have a server. */
    CCTV_JOINED,                /* viewers can ask from now on */
    CCTV_VIEWER,                /* `viewer` wants to watch: send it an offer */
    CCTV_OFFER,                 /* `viewer` makes an offer, the SDP `text`: send it an answer */
    CCTV_ANSWER,                /* to an offer: the SDP `text` */
    CCTV_CANDIDATE,             /* of `viewer`: the line `text`, or NULL for the end of its candidates */
    CCTV_TOO_LARGE,             /* `viewer` sent an SDP over the limits above: forget it, and send it a
                                   `cctv_write_bye` with `text` as the reason */
    CCTV_GONE,                  /* `viewer` watches no more, and `text` says why: forget it */
    CCTV_FULL,                  /* nobody else can watch: send `viewer` a `cctv_write_bye` */
    CCTV_REFUSED,               /* the server does not do what was asked: `code` and the sentence `text` */
} cctv_event_type;

/* One of the ICE servers of the server's welcome, the first that has credentials, or else the first. */
typedef struct {
    const char *url;            /* NULL: none */
    const char *username;       /* or NULL */
    const char *credential;     /* or NULL */
} cctv_ice_server;

/* All strings are in the text that was received. */
typedef struct {
    cctv_event_type type;
    int viewer;                 /* from 0 to most_viewers; CCTV_NOBODY if it concerns none */
    const char *text;
    const char *code;           /* of CCTV_REFUSED, one of docs/protocol.md, section 2.5 */
    cctv_ice_server ice;
} cctv_event;

void cctv_init(cctv_camera *camera, const cctv_config *config);

/* What a message of the server means. `text` is overwritten. Whatever is no message of the protocol, or is of
 * a later version, means nothing. */
cctv_event cctv_receive(cctv_camera *camera, char *text, size_t length);

/* These write a message into `buffer` and return its length: 0 if it does not fit, if the server would refuse it
 * as too long, or if there is no such viewer. End the session by `cctv_write_bye` if it was an offer or answer. */
size_t cctv_write_join(const cctv_camera *camera, char *buffer, size_t size);
size_t cctv_write_offer(const cctv_camera *camera, int viewer, const char *sdp, char *buffer, size_t size);
size_t cctv_write_answer(const cctv_camera *camera, int viewer, const char *sdp, char *buffer, size_t size);
/* `line` NULL: these were all. The `m` section is the first one, as everything is bundled. */
size_t cctv_write_candidate(const cctv_camera *camera, int viewer, const char *line, char *buffer, size_t size);
/* The viewer is forgotten by that. */
size_t cctv_write_bye(cctv_camera *camera, int viewer, const char *reason, char *buffer, size_t size);

/* Milliseconds until the next attempt to connect, after a connection that has held for `held_ms` was lost with
 * this close code (0: without one), or CCTV_STAY_AWAY (docs/protocol.md, section 2.6). `random` is any number:
 * many cameras that lost the same server must not come back at one time. */
uint32_t cctv_retry_ms(cctv_camera *camera, int close_code, uint32_t held_ms, uint32_t random);

#ifdef __cplusplus
}
#endif

#endif
