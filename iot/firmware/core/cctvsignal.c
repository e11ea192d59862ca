#include "cctvsignal.h"

#include <string.h>

#include "json.h"

enum {
    FIRST_RETRY_MS = 1000,
    MOST_RETRY_MS = 30000,
    HELD_MS = 10000,            /* a connection that held so long was a good one */
    REPLACED = 4409,
    REPLACED_MS = 60000,
};

static const char TOO_LARGE[] = "limitExceeded";

void cctv_init(cctv_camera *camera, const cctv_config *config)
{
    memset(camera, 0, sizeof *camera);
    camera->config = *config;
    if (camera->config.most_viewers < 1 || camera->config.most_viewers > CCTV_MOST_VIEWERS) {
        camera->config.most_viewers = CCTV_MOST_VIEWERS;
    }
}

/* --- viewers --- */

static int find(const cctv_camera *camera, const char *id)
{
    for (int viewer = 0; id != NULL && *id != '\0' && viewer < camera->config.most_viewers; viewer++) {
        if (strcmp(camera->viewers[viewer].id, id) == 0) {
            return viewer;
        }
    }
    return CCTV_NOBODY;
}

/* The place of a viewer, new or not; that of who is refused if all others are taken. */
static int place_for(cctv_camera *camera, const char *id)
{
    int viewer = find(camera, id);

    if (viewer != CCTV_NOBODY) {
        return viewer;
    }
    if (id == NULL || *id == '\0' || strlen(id) >= CCTV_ID_BYTES) {
        return CCTV_NOBODY;
    }
    for (viewer = 0; viewer < camera->config.most_viewers && camera->viewers[viewer].id[0] != '\0';) {
        viewer++;
    }
    strcpy(camera->viewers[viewer].id, id);
    return viewer;
}

static bool is_there(const cctv_camera *camera, int viewer)
{
    return viewer >= 0 && viewer <= camera->config.most_viewers && camera->viewers[viewer].id[0] != '\0';
}

/* --- what comes --- */

static cctv_event event(cctv_event_type type, int viewer, const char *text)
{
    return (cctv_event){.type = type, .viewer = viewer, .text = text};
}

/* Whether no real peer sends such an SDP. Its lines are counted as parsers cut them that take a CR or an LF alone
 * for the end of one. */
static bool is_too_large(const char *sdp)
{
    static const char SECTION[] = "m=", CANDIDATE[] = "a=candidate:";
    int sections = 0, candidates = 0;
    bool is_begin = true;

    if (strlen(sdp) > CCTV_MOST_SDP_BYTES) {
        return true;
    }
    for (; *sdp != '\0'; sdp++) {
        if (is_begin) {
            sections += strncmp(sdp, SECTION, sizeof SECTION - 1) == 0;
            candidates += strncmp(sdp, CANDIDATE, sizeof CANDIDATE - 1) == 0;
        }
        is_begin = *sdp == '\r' || *sdp == '\n';
    }
    return sections > CCTV_MOST_SECTIONS || candidates > CCTV_MOST_CANDIDATES;
}

/* A new session of a viewer, by a request or by the SDP `text`. */
static cctv_event wanted_by(cctv_camera *camera, const char *id, cctv_event_type type, const char *text)
{
    int viewer = place_for(camera, id);

    if (viewer == CCTV_NOBODY) {
        return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
    }
    if (viewer == camera->config.most_viewers) {
        return event(CCTV_FULL, viewer, NULL);
    }
    if (text != NULL && is_too_large(text)) {
        return event(CCTV_TOO_LARGE, viewer, TOO_LARGE);
    }
    camera->viewers[viewer].is_described = text != NULL;
    camera->viewers[viewer].candidates = 0;
    return event(type, viewer, text);
}

static cctv_event answered(cctv_camera *camera, int viewer, const char *sdp)
{
    if (viewer == CCTV_NOBODY) {
        return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
    }
    if (is_too_large(sdp)) {
        return event(CCTV_TOO_LARGE, viewer, TOO_LARGE);
    }
    camera->viewers[viewer].is_described = true;
    return event(CCTV_ANSWER, viewer, sdp);
}

/* What is over the limits means nothing: a session does not need all candidates there are. */
static cctv_event candidate_of(cctv_camera *camera, int viewer, const char *line)
{
    /* An empty line means the same as none: W3C WebRTC, section 4.8.1. */
    if (viewer != CCTV_NOBODY && line != NULL && *line != '\0') {
        cctv_viewer *of = &camera->viewers[viewer];
        if (strlen(line) > CCTV_MOST_CANDIDATE_BYTES ||
            of->candidates >= (of->is_described ? CCTV_MOST_CANDIDATES : CCTV_MOST_EARLY_CANDIDATES)) {
            return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
        }
        of->candidates++;
        return event(CCTV_CANDIDATE, viewer, line);
    }
    return event(viewer == CCTV_NOBODY ? CCTV_NOTHING : CCTV_CANDIDATE, viewer, NULL);
}

static cctv_event gone(cctv_camera *camera, const char *id, const char *why)
{
    int viewer = find(camera, id);

    if (viewer == CCTV_NOBODY) {
        return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
    }
    camera->viewers[viewer].id[0] = '\0';
    return event(CCTV_GONE, viewer, why);
}

/* The URL of an RTCIceServer, which may be one or a list of them. */
static json_value url_of(json_value server)
{
    json_value urls = json_member(server, "urls");
    json_value first = json_next(urls, (json_value){NULL, NULL});
    return first.begin != NULL ? first : urls;
}

static cctv_ice_server choose_ice_server(json_value servers)
{
    json_value chosen = {NULL, NULL};

    for (json_value server = json_next(servers, chosen); server.begin != NULL; server = json_next(servers, server)) {
        bool has_credential = json_member(server, "credential").begin != NULL;
        if (chosen.begin == NULL || has_credential) {
            chosen = server;
        }
        if (has_credential) {
            break;
        }
    }
    json_value url = url_of(chosen);
    json_value username = json_member(chosen, "username");
    json_value credential = json_member(chosen, "credential");
    return (cctv_ice_server){json_text(url), json_text(username), json_text(credential)};
}

static cctv_event relayed(cctv_camera *camera, json_value message, const char *type)
{
    json_value sender = json_member(message, "sender");
    json_value candidate = json_member(message, "candidate");
    json_value line = json_member(candidate, "candidate");
    json_value sdp = json_member(json_member(message, "sdp"), "sdp");
    json_value reason = json_member(message, "reason");
    const char *id = json_text(sender);
    int viewer = find(camera, id);

    if (strcmp(type, "bye") == 0) {
        const char *why = json_text(reason);
        return gone(camera, id, why != NULL ? why : "bye");
    }
    if (strcmp(type, "iceCandidate") == 0) {
        return candidate_of(camera, viewer, json_text(line));
    }
    const char *text = json_text(sdp);
    if (text == NULL) {
        return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
    }
    if (strcmp(type, "offer") == 0) {
        return wanted_by(camera, id, CCTV_OFFER, text);
    }
    return answered(camera, viewer, text);
}

cctv_event cctv_receive(cctv_camera *camera, char *text, size_t length)
{
    json_value message = json_parse(text, length);
    /* All of them before any of them is overwritten. */
    json_value kind = json_member(message, "type");
    json_value ice_servers = json_member(message, "iceServers");
    json_value most_bytes = json_member(json_member(message, "limits"), "maxMessageBytes");
    json_value client = json_member(message, "clientId");
    json_value viewer = json_member(message, "viewerId");
    json_value code = json_member(message, "code");
    json_value sentence = json_member(message, "message");
    const char *const relays[] = {"offer", "answer", "iceCandidate", "bye"};
    char type[32] = "";

    if (kind.begin == NULL || *kind.begin != '"' || (size_t)(kind.end - kind.begin) > sizeof type) {
        return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
    }
    /* Not through json_text, as the object is still to be looked through. */
    memcpy(type, kind.begin + 1, (size_t)(kind.end - kind.begin) - 2);
    for (size_t at = 0; at < sizeof relays / sizeof *relays; at++) {
        if (strcmp(type, relays[at]) == 0) {
            return relayed(camera, message, type);
        }
    }
    if (strcmp(type, "welcome") == 0) {
        cctv_event welcome = event(CCTV_WELCOME, CCTV_NOBODY, NULL);
        camera->most_bytes = json_count(most_bytes);
        welcome.ice = choose_ice_server(ice_servers);
        return welcome;
    }
    if (strcmp(type, "joined") == 0) {
        return event(CCTV_JOINED, CCTV_NOBODY, NULL);
    }
    if (strcmp(type, "viewerRequest") == 0) {
        return wanted_by(camera, json_text(viewer), CCTV_VIEWER, NULL);
    }
    if (strcmp(type, "clientDisconnected") == 0) {
        return gone(camera, json_text(client), "disconnected");
    }
    if (strcmp(type, "error") == 0) {
        cctv_event refused = event(CCTV_REFUSED, CCTV_NOBODY, json_text(sentence));
        refused.code = json_text(code);
        return refused;
    }
    return event(CCTV_NOTHING, CCTV_NOBODY, NULL);
}

/* --- what is sent --- */

/* Writes no more than the server takes, and a 0. */
static json_writer writer_for(const cctv_camera *camera, char *buffer, size_t size)
{
    bool is_limited = camera->most_bytes > 0 && camera->most_bytes < size;
    return (json_writer){buffer, is_limited ? (size_t)camera->most_bytes + 1 : size, 0, false};
}

size_t cctv_write_join(const cctv_camera *camera, char *buffer, size_t size)
{
    json_writer writer = writer_for(camera, buffer, size);
    int most = camera->config.most_viewers;
    char digits[] = {(char)('0' + most / 10), (char)('0' + most % 10), '\0'};

    json_put(&writer, "{\"type\":\"join\",\"deviceType\":\"camera\",\"cameraId\":");
    json_put_text(&writer, camera->config.camera_id);
    json_put(&writer, ",\"room\":");
    json_put_text(&writer, camera->config.room);
    json_put(&writer, ",\"maxViewers\":");
    json_put(&writer, most < 10 ? digits + 1 : digits);
    if (camera->config.meta != NULL) {
        json_put(&writer, ",\"meta\":");
        json_put(&writer, camera->config.meta);
    }
    json_put(&writer, "}");
    return json_end(&writer);
}

static json_writer begin_to(const cctv_camera *camera, int viewer, const char *type, char *buffer, size_t size)
{
    json_writer writer = writer_for(camera, buffer, size);

    writer.overflows = !is_there(camera, viewer);
    json_put(&writer, "{\"type\":");
    json_put_text(&writer, type);
    json_put(&writer, ",\"target\":");
    json_put_text(&writer, writer.overflows ? NULL : camera->viewers[viewer].id);
    return writer;
}

static size_t write_sdp(const cctv_camera *camera, int viewer, const char *type, const char *sdp, char *buffer,
                        size_t size)
{
    json_writer writer = begin_to(camera, viewer, type, buffer, size);

    json_put(&writer, ",\"sdp\":{\"type\":");
    json_put_text(&writer, type);
    json_put(&writer, ",\"sdp\":");
    json_put_text(&writer, sdp);
    json_put(&writer, "}}");
    return json_end(&writer);
}

size_t cctv_write_offer(const cctv_camera *camera, int viewer, const char *sdp, char *buffer, size_t size)
{
    return write_sdp(camera, viewer, "offer", sdp, buffer, size);
}

size_t cctv_write_answer(const cctv_camera *camera, int viewer, const char *sdp, char *buffer, size_t size)
{
    return write_sdp(camera, viewer, "answer", sdp, buffer, size);
}

size_t cctv_write_candidate(const cctv_camera *camera, int viewer, const char *line, char *buffer, size_t size)
{
    json_writer writer = begin_to(camera, viewer, "iceCandidate", buffer, size);

    if (line == NULL) {
        json_put(&writer, ",\"candidate\":null}");
    } else {
        json_put(&writer, ",\"candidate\":{\"candidate\":");
        json_put_text(&writer, line);
        json_put(&writer, ",\"sdpMLineIndex\":0}}");
    }
    return json_end(&writer);
}

size_t cctv_write_bye(cctv_camera *camera, int viewer, const char *reason, char *buffer, size_t size)
{
    json_writer writer = begin_to(camera, viewer, "bye", buffer, size);

    json_put(&writer, ",\"reason\":");
    json_put_text(&writer, reason);
    json_put(&writer, "}");
    if (is_there(camera, viewer)) {
        camera->viewers[viewer].id[0] = '\0';
    }
    return json_end(&writer);
}

uint32_t cctv_retry_ms(cctv_camera *camera, int close_code, uint32_t held_ms, uint32_t random)
{
    static const int FOR_GOOD[] = {1003, 1007, 1008, 1009, 4401, 4403};

    for (size_t at = 0; at < sizeof FOR_GOOD / sizeof *FOR_GOOD; at++) {
        if (close_code == FOR_GOOD[at]) {
            return CCTV_STAY_AWAY;
        }
    }
    if (held_ms >= HELD_MS) {
        camera->attempts = 0;
    }
    uint32_t most = FIRST_RETRY_MS << (camera->attempts < 5 ? camera->attempts : 5);
    if (most > MOST_RETRY_MS) {
        most = MOST_RETRY_MS;
    }
    camera->attempts++;
    return (close_code == REPLACED ? REPLACED_MS : 0) + random % (most + 1);
}
