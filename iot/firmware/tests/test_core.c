/* The rules of the signaling core, on any machine: `make test` here, or tests/unit/test_firmware_core.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cctvsignal.h"
#include "json.h"

static int failures;

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #condition);     \
            failures++;                                                        \
        }                                                                      \
    } while (0)
#define SAME(one, other) ((one) != NULL && strcmp((one), (other)) == 0)

static cctv_camera camera;
static char buffer[4096];
static char sent[200000];

static void begin(int most_viewers)
{
    cctv_config config = {
        .room = "cctv", .camera_id = "porch", .meta = "{\"name\":\"Porch\"}", .most_viewers = most_viewers};
    cctv_init(&camera, &config);
}

/* Each text is in a heap block of its own length, so that sanitizers see what reads or writes behind it. The
 * block lives until the next message. */
static cctv_event receive_bytes(const char *bytes, size_t length)
{
    static char *text;
    free(text);
    text = malloc(length > 0 ? length : 1);
    memcpy(text, bytes, length);
    return cctv_receive(&camera, text, length);
}

static cctv_event receive(const char *text)
{
    return receive_bytes(text, strlen(text));
}

static void joins_and_is_let_in(void)
{
    begin(3);
    cctv_event event = receive("{\"type\":\"welcome\",\"clientId\":\"C\",\"protocol\":1,\"iceServers\":[]}");
    CHECK(event.type == CCTV_WELCOME);
    CHECK(event.ice.url == NULL);
    CHECK(cctv_write_join(&camera, buffer, sizeof buffer) == strlen(buffer));
    CHECK(SAME(buffer, "{\"type\":\"join\",\"deviceType\":\"camera\",\"cameraId\":\"porch\",\"room\":\"cctv\","
                       "\"maxViewers\":3,\"meta\":{\"name\":\"Porch\"}}"));
    CHECK(receive(" {\"room\" : \"cctv\",\n\"type\":\"joined\"} ").type == CCTV_JOINED);
}

static void takes_the_first_ice_server_with_a_credential(void)
{
    begin(1);
    cctv_event event = receive(
        "{\"type\":\"welcome\",\"iceServers\":[{\"urls\":\"stun:a\"},"
        "{\"urls\":[\"turn:b?transport=udp\",\"turns:c\"],\"username\":\"1:u\",\"credential\":\"p\\/w=\"},"
        "{\"urls\":\"turn:d\",\"username\":\"x\",\"credential\":\"y\"}]}");
    CHECK(SAME(event.ice.url, "turn:b?transport=udp"));
    CHECK(SAME(event.ice.username, "1:u"));
    CHECK(SAME(event.ice.credential, "p/w="));
    event = receive("{\"type\":\"welcome\",\"iceServers\":[{\"urls\":\"stun:a\"},{\"urls\":\"stun:b\"}]}");
    CHECK(SAME(event.ice.url, "stun:a"));
    CHECK(event.ice.username == NULL && event.ice.credential == NULL);
    CHECK(receive("{\"type\":\"welcome\",\"iceServers\":[7,{}]}").ice.url == NULL);
}

static void a_session_from_request_to_bye(void)
{
    begin(2);
    cctv_event event = receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\",\"requestId\":\"1\"}");
    CHECK(event.type == CCTV_VIEWER && event.viewer == 0);
    CHECK(cctv_write_offer(&camera, 0, "v=0\r\no=- \"1\"\\\t\r\n", buffer, sizeof buffer) > 0);
    CHECK(SAME(buffer, "{\"type\":\"offer\",\"target\":\"V\",\"sdp\":{\"type\":\"offer\","
                       "\"sdp\":\"v=0\\r\\no=- \\\"1\\\"\\\\\\u0009\\r\\n\"}}"));
    event = receive("{\"type\":\"answer\",\"sdp\":{\"type\":\"answer\",\"sdp\":\"v=0\\r\\na=\\u00e9\\r\\n\"},"
                    "\"sender\":\"V\"}");
    CHECK(event.type == CCTV_ANSWER && event.viewer == 0);
    CHECK(SAME(event.text, "v=0\r\na=\xC3\xA9\r\n"));
    event = receive("{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":{\"sdpMid\":\"0\","
                    "\"candidate\":\"candidate:1 1 udp 1 10.0.0.1 9 typ host\"}}");
    CHECK(event.type == CCTV_CANDIDATE && event.viewer == 0);
    CHECK(SAME(event.text, "candidate:1 1 udp 1 10.0.0.1 9 typ host"));
    event = receive("{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":null}");
    CHECK(event.type == CCTV_CANDIDATE && event.text == NULL);
    event = receive("{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":{\"candidate\":\"\"}}");
    CHECK(event.type == CCTV_CANDIDATE && event.text == NULL);
    CHECK(cctv_write_candidate(&camera, 0, "candidate:2", buffer, sizeof buffer) > 0);
    CHECK(SAME(buffer, "{\"type\":\"iceCandidate\",\"target\":\"V\",\"candidate\":{\"candidate\":\"candidate:2\","
                       "\"sdpMLineIndex\":0}}"));
    CHECK(cctv_write_candidate(&camera, 0, NULL, buffer, sizeof buffer) > 0);
    CHECK(SAME(buffer, "{\"type\":\"iceCandidate\",\"target\":\"V\",\"candidate\":null}"));
    event = receive("{\"type\":\"bye\",\"sender\":\"V\",\"reason\":\"enough\"}");
    CHECK(event.type == CCTV_GONE && event.viewer == 0 && SAME(event.text, "enough"));
    CHECK(cctv_write_candidate(&camera, 0, NULL, buffer, sizeof buffer) == 0);
}

static void several_viewers_have_a_place_each(void)
{
    begin(2);
    CHECK(receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V1\"}").viewer == 0);
    CHECK(receive("{\"type\":\"offer\",\"sender\":\"V2\",\"sdp\":{\"sdp\":\"v=0\"}}").viewer == 1);
    /* Who asks again keeps its place. */
    CHECK(receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V1\"}").viewer == 0);
    cctv_event full = receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V3\"}");
    CHECK(full.type == CCTV_FULL && full.viewer == 2);
    CHECK(cctv_write_bye(&camera, full.viewer, "busy", buffer, sizeof buffer) > 0);
    CHECK(SAME(buffer, "{\"type\":\"bye\",\"target\":\"V3\",\"reason\":\"busy\"}"));
    cctv_event gone = receive("{\"type\":\"clientDisconnected\",\"clientId\":\"V1\"}");
    CHECK(gone.type == CCTV_GONE && gone.viewer == 0);
    CHECK(receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V3\"}").viewer == 0);
    CHECK(receive("{\"type\":\"clientDisconnected\",\"clientId\":\"V1\"}").type == CCTV_NOTHING);
}

/* A message of V with an SDP of so many lines and, at last, so many bytes: in `sent`. */
static const char *sdp_of(const char *type, const char *line, int lines, size_t bytes)
{
    char *at = sent + sprintf(sent, "{\"type\":\"%s\",\"sender\":\"V\",\"sdp\":{\"sdp\":\"v=0\\r\\n", type);
    size_t written = strlen("v=0\r\n");

    for (int count = 0; count < lines; count++) {
        at += sprintf(at, "%s\\r\\n", line);
        written += strlen(line) + 2;
    }
    for (; written < bytes; written++) {
        *at++ = 'x';
    }
    strcpy(at, "\"}}");
    return sent;
}

static void a_description_over_the_limits_ends_that_session(void)
{
    const char *const types[] = {"offer", "answer"};
    struct {
        const char *line;
        int lines;
        size_t bytes;
        bool is_too_large;
    } cases[] = {
        {"m=video 9 UDP/TLS/RTP/SAVPF 96", CCTV_MOST_SECTIONS, 0, false},
        {"m=video 9 UDP/TLS/RTP/SAVPF 96", CCTV_MOST_SECTIONS + 1, 0, true},
        {"m=a", 1000, 0, true},
        {"a=candidate:1 1 udp 1 10.0.0.1 9 typ host", CCTV_MOST_CANDIDATES, 0, false},
        {"a=candidate:1 1 udp 1 10.0.0.1 9 typ host", CCTV_MOST_CANDIDATES + 1, 0, true},
        {"a=x m=a=candidate:", 1000, 0, false},
        {"a=x\\rm=\\nm=", CCTV_MOST_SECTIONS / 2, 0, false},
        {"a=x\\rm=\\nm=", CCTV_MOST_SECTIONS / 2 + 1, 0, true},
        {"", 0, CCTV_MOST_SDP_BYTES, false},
        {"", 0, CCTV_MOST_SDP_BYTES + 1, true},
    };

    for (size_t type = 0; type < sizeof types / sizeof *types; type++) {
        cctv_event_type right = type == 0 ? CCTV_OFFER : CCTV_ANSWER;
        for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
            begin(2);
            receive("{\"type\":\"viewerRequest\",\"viewerId\":\"other\"}");
            receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
            cctv_event event = receive(sdp_of(types[type], cases[at].line, cases[at].lines, cases[at].bytes));
            if (event.type != (cases[at].is_too_large ? CCTV_TOO_LARGE : right) || event.viewer != 1) {
                printf("%s %zu is taken for %d of %d\n", types[type], at, event.type, event.viewer);
                failures++;
            }
            if (event.type == CCTV_TOO_LARGE) {
                CHECK(cctv_write_bye(&camera, event.viewer, event.text, buffer, sizeof buffer) > 0);
                CHECK(SAME(buffer, "{\"type\":\"bye\",\"target\":\"V\",\"reason\":\"limitExceeded\"}"));
                CHECK(receive("{\"type\":\"bye\",\"sender\":\"V\"}").type == CCTV_NOTHING);
                CHECK(receive("{\"type\":\"bye\",\"sender\":\"other\"}").type == CCTV_GONE);
            }
        }
    }
    /* Who has no place is told so by a bye, too. */
    begin(1);
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"other\"}");
    CHECK(receive(sdp_of("offer", "m=a", 1000, 0)).type == CCTV_FULL);
}

static int candidates_taken(int most)
{
    int taken = 0;
    for (int count = 0; count < most; count++) {
        taken += receive("{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":{\"candidate\":\"c\"}}").type ==
                 CCTV_CANDIDATE;
    }
    return taken;
}

static void a_viewer_has_no_more_candidates_than_a_real_one(void)
{
    begin(1);
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
    CHECK(candidates_taken(1000) == CCTV_MOST_EARLY_CANDIDATES);
    CHECK(receive("{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":null}").type == CCTV_CANDIDATE);
    receive(sdp_of("answer", "a=x", 1, 0));
    CHECK(candidates_taken(1000) == CCTV_MOST_CANDIDATES - CCTV_MOST_EARLY_CANDIDATES);
    receive(sdp_of("answer", "a=x", 1, 0));
    CHECK(candidates_taken(1) == 0);
    /* A new session begins anew. */
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
    CHECK(candidates_taken(1000) == CCTV_MOST_EARLY_CANDIDATES);
    receive(sdp_of("offer", "a=x", 1, 0));
    CHECK(candidates_taken(1000) == CCTV_MOST_CANDIDATES);
    char *at = sent + sprintf(sent, "{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":{\"candidate\":\"");
    memset(at, 'c', CCTV_MOST_CANDIDATE_BYTES + 1);
    strcpy(at + CCTV_MOST_CANDIDATE_BYTES + 1, "\"}}");
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
    CHECK(receive(sent).type == CCTV_NOTHING);
    strcpy(at + CCTV_MOST_CANDIDATE_BYTES, "\"}}");
    CHECK(receive(sent).type == CCTV_CANDIDATE);
}

static void no_message_is_longer_than_the_server_takes(void)
{
    char welcome[100];

    begin(1);
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
    size_t length = cctv_write_answer(&camera, 0, "v=0\r\n", buffer, sizeof buffer);
    CHECK(length > 0);
    for (size_t most = length - 1; most <= length + 1; most++) {
        sprintf(welcome, "{\"type\":\"welcome\",\"limits\":{\"maxMessageBytes\":%zu}}", most);
        CHECK(receive(welcome).type == CCTV_WELCOME);
        size_t right = most < length ? 0 : length;
        CHECK(cctv_write_answer(&camera, 0, "v=0\r\n", buffer, sizeof buffer) == right);
        CHECK(cctv_write_answer(&camera, 0, "v=0\r\n", buffer, length) == 0);
    }
    /* What is not a number of bytes limits nothing, and neither does a welcome without it. */
    const char *const limits[] = {
        "{\"maxMessageBytes\":4294967296}", "{\"maxMessageBytes\":99999999999999999999}", "{\"maxMessageBytes\":-1}",
        "{\"maxMessageBytes\":\"9\"}", "{\"maxMessageBytes\":null}", "{}", "[]", "7"};
    for (size_t at = 0; at < sizeof limits / sizeof *limits; at++) {
        sprintf(welcome, "{\"type\":\"welcome\",\"limits\":%s}", limits[at]);
        CHECK(receive(welcome).type == CCTV_WELCOME);
        CHECK(cctv_write_answer(&camera, 0, "v=0\r\n", buffer, sizeof buffer) == length);
    }
    receive("{\"type\":\"welcome\",\"limits\":{\"maxMessageBytes\":9}}");
    CHECK(cctv_write_join(&camera, buffer, sizeof buffer) == 0);
    receive("{\"type\":\"welcome\"}");
    CHECK(cctv_write_join(&camera, buffer, sizeof buffer) > 0);
}

static void strangers_mean_nothing(void)
{
    begin(2);
    CHECK(receive("{\"type\":\"answer\",\"sender\":\"X\",\"sdp\":{\"sdp\":\"v=0\"}}").type == CCTV_NOTHING);
    CHECK(receive("{\"type\":\"iceCandidate\",\"sender\":\"X\",\"candidate\":null}").type == CCTV_NOTHING);
    CHECK(receive("{\"type\":\"bye\",\"sender\":\"X\"}").type == CCTV_NOTHING);
    CHECK(receive("{\"type\":\"offer\",\"sdp\":{\"sdp\":\"v=0\"}}").type == CCTV_NOTHING);
    CHECK(receive("{\"type\":\"offer\",\"sender\":\"X\",\"sdp\":\"v=0\"}").type == CCTV_NOTHING);
    CHECK(receive("{\"type\":\"viewerRequest\",\"viewerId\":7}").type == CCTV_NOTHING);
    char text[300];
    snprintf(text, sizeof text, "{\"type\":\"viewerRequest\",\"viewerId\":\"%0100d\"}", 1);
    CHECK(receive(text).type == CCTV_NOTHING);
}

static void a_refusal_says_why(void)
{
    begin(1);
    cctv_event event = receive(
        "{\"type\":\"error\",\"code\":\"cameraIdInUse\",\"message\":\"Another camera has this id.\"}");
    CHECK(event.type == CCTV_REFUSED);
    CHECK(SAME(event.code, "cameraIdInUse"));
    CHECK(SAME(event.text, "Another camera has this id."));
}

static void what_is_no_message_means_nothing(void)
{
    const char *const texts[] = {
        "", " ", "{", "[]", "7", "null", "\"type\"", "{\"type\":\"joined\"", "{\"type\":\"joined\"}x",
        "{\"type\":7}", "{\"type\":null}", "{\"type\":\"\"}", "{\"type\":\"weather\"}", "{'type':'joined'}",
        "{\"type\":\"joined\",}", "{\"type\" \"joined\"}", "{\"type\":\"jo\nined\"}", "{\"type\":\"\\x\"}",
        "{\"type\":\"\\u12\"}", "{\"a\":01,\"type\":\"joined\"}", "{\"a\":1.,\"type\":\"joined\"}",
        "{\"a\":-,\"type\":\"joined\"}", "{\"a\":1e,\"type\":\"joined\"}", "{\"a\":tru,\"type\":\"joined\"}",
        "{\"type\":\"a type that is longer than any that there will ever be\"}",
    };
    begin(1);
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        if (receive(texts[at]).type != CCTV_NOTHING) {
            printf("it means something: %s\n", texts[at]);
            failures++;
        }
    }
    char deep[200] = "{\"type\":\"joined\",\"a\":";
    memset(deep + strlen(deep), '[', 100);
    CHECK(receive(deep).type == CCTV_NOTHING);
}

static void of_members_with_one_name_the_last_counts(void)
{
    begin(1);
    CHECK(receive("{\"type\":\"welcome\",\"type\":\"joined\"}").type == CCTV_JOINED);
    CHECK(receive("{\"type\":\"joined\",\"type\":null}").type == CCTV_NOTHING);
    cctv_event event = receive("{\"type\":\"offer\",\"sender\":\"V\",\"sdp\":{\"sdp\":\"one\",\"sdp\":\"two\"}}");
    CHECK(SAME(event.text, "two"));
}

static void text_is_unescaped_as_it_is_meant(void)
{
    struct {
        const char *written, *meant;
    } texts[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC"},
        {"\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80"},
        {"\"\\ud83d\"", "\xEF\xBF\xBD"},
        {"\"\\ud83d\\u0041\"", "\xEF\xBF\xBD"
                               "A"},
        {"\"\\udc00x\\u0000\"", "\xEF\xBF\xBDx\xEF\xBF\xBD"},
    };
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        char text[64];
        strcpy(text, texts[at].written);
        char *meant = json_text(json_parse(text, strlen(text)));
        if (!SAME(meant, texts[at].meant)) {
            printf("%s is read as %s\n", texts[at].written, meant == NULL ? "nothing" : meant);
            failures++;
        }
    }
}

static void a_buffer_that_is_too_small_stays_whole(void)
{
    begin(1);
    receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
    size_t length = cctv_write_offer(&camera, 0, "v=0\r\n", buffer, sizeof buffer);
    for (size_t size = 0; size <= length + 1; size++) {
        char *small = malloc(size > 0 ? size : 1);
        CHECK(cctv_write_offer(&camera, 0, "v=0\r\n", small, size) == (size > length ? length : 0));
        free(small);
    }
}

static void waits_longer_each_time(void)
{
    begin(1);
    for (int attempt = 0; attempt < 10; attempt++) {
        uint32_t most = attempt < 5 ? 1000u << attempt : 30000u;
        CHECK(cctv_retry_ms(&camera, 1006, 0, most) == most);
        camera.attempts--;
        CHECK(cctv_retry_ms(&camera, 0, 0, most + 1) == 0);
    }
    CHECK(cctv_retry_ms(&camera, 1001, 10000, 1000) == 1000);
    CHECK(cctv_retry_ms(&camera, 4409, 10000, 0) == 60000);
    CHECK(cctv_retry_ms(&camera, 4401, 0, 0) == CCTV_STAY_AWAY);
    CHECK(cctv_retry_ms(&camera, 1008, 0, 0) == CCTV_STAY_AWAY);
}

/* Every message with every byte changed, cut at every place: nothing is read or written behind its end. */
static void damaged_messages_do_no_harm(void)
{
    const char *const texts[] = {
        "{\"type\":\"welcome\",\"iceServers\":[{\"urls\":[\"turn:b\"],\"username\":\"u\",\"credential\":\"p\"}]}",
        "{\"type\":\"answer\",\"sender\":\"V\",\"sdp\":{\"type\":\"answer\",\"sdp\":\"v=0\\r\\n\\ud83d\\ude00\"}}",
        "{\"type\":\"iceCandidate\",\"sender\":\"V\",\"candidate\":{\"candidate\":\"c\",\"a\":[1,-2.5e3,true]}}",
        "{\"type\":\"viewerRequest\",\"viewerId\":\"V\",\"requestId\":\"1\"}",
        "{\"type\":\"welcome\",\"limits\":{\"maxMessageBytes\":65536}}",
    };
    const char bytes[] = {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', 'u', '0', 'n', ' ', '\xff'};
    char text[256];

    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        size_t length = strlen(texts[at]);
        for (size_t place = 0; place < length; place++) {
            begin(1);
            receive("{\"type\":\"viewerRequest\",\"viewerId\":\"V\"}");
            receive_bytes(texts[at], place);
            for (size_t byte = 0; byte < sizeof bytes; byte++) {
                memcpy(text, texts[at], length);
                text[place] = bytes[byte];
                receive_bytes(text, length);
            }
        }
    }
}

int main(void)
{
    joins_and_is_let_in();
    takes_the_first_ice_server_with_a_credential();
    a_session_from_request_to_bye();
    several_viewers_have_a_place_each();
    a_description_over_the_limits_ends_that_session();
    a_viewer_has_no_more_candidates_than_a_real_one();
    no_message_is_longer_than_the_server_takes();
    strangers_mean_nothing();
    a_refusal_says_why();
    what_is_no_message_means_nothing();
    of_members_with_one_name_the_last_counts();
    text_is_unescaped_as_it_is_meant();
    a_buffer_that_is_too_small_stays_whole();
    waits_longer_each_time();
    damaged_messages_do_no_harm();
    printf(failures == 0 ? "all is well\n" : "%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
