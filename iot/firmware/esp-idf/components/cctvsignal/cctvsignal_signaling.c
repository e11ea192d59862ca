#include "cctvsignal_signaling.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cctvsignal.h"
#include "esp_attr.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/message_buffer.h"
#include "freertos/semphr.h"

/* The WebSocket client's task only puts whole messages into `queue`: it holds locks of its own while it calls
 * back, and peers are not for several tasks at a time. Everything else happens in `cctv_signaling_poll`, but for
 * what others send; so `camera` and `message` have a lock, which is never held while a handle is called back. */
enum {
    MESSAGE_BYTES = 12288,      /* an SDP with its candidates has 2 to 6 KB */
    QUEUE_BYTES = 16384,
    ICE_TEXT_BYTES = 256,
    SEND_MS = 5000,
    SETTLE_MS = 500,            /* until the client's task, which says that it ends, has ended */
    TEXT_FRAME = 1,
    CLOSE_FRAME = 8,
};

typedef enum { JOIN, OFFER, ANSWER, CANDIDATE, BYE } saying;

typedef struct {
    esp_peer_signaling_cfg_t peer;
    bool started;
    bool answers;               /* the viewer made the offer */
} place_t;

static const char TAG[] = "cctvsignal";
static cctv_camera camera;
static place_t places[CCTV_MOST_VIEWERS];
static char ice_url[ICE_TEXT_BYTES], ice_user[ICE_TEXT_BYTES], ice_password[ICE_TEXT_BYTES];
static char authorization[1024];
static EXT_RAM_BSS_ATTR char incoming[MESSAGE_BYTES], received[MESSAGE_BYTES], message[MESSAGE_BYTES];
static EXT_RAM_BSS_ATTR uint8_t queue_bytes[QUEUE_BYTES];
static StaticMessageBuffer_t queue_state;
static MessageBufferHandle_t queue;
static StaticSemaphore_t lock_state;
static SemaphoreHandle_t lock;
static esp_websocket_client_handle_t connection;
static size_t incoming_length;
static bool too_long;
static bool connecting;         /* or connected */
static int64_t begin_ms, next_ms;
static atomic_bool over;        /* the connection is lost */
static atomic_int close_code;

/* --- what is sent --- */

static size_t written(saying what, int viewer, const char *text)
{
    switch (what) {
    case JOIN:
        return cctv_write_join(&camera, message, sizeof message);
    case OFFER:
        return cctv_write_offer(&camera, viewer, text, message, sizeof message);
    case ANSWER:
        return cctv_write_answer(&camera, viewer, text, message, sizeof message);
    case CANDIDATE:
        return cctv_write_candidate(&camera, viewer, text, message, sizeof message);
    case BYE:
        return cctv_write_bye(&camera, viewer, text, message, sizeof message);
    }
    return 0;
}

static int say(saying what, int viewer, const char *text)
{
    int result = ESP_PEER_ERR_INVALID_ARG;  /* too long, or the viewer is gone */

    xSemaphoreTake(lock, portMAX_DELAY);
    size_t length = written(what, viewer, text);
    if (length > 0) {
        int sent = esp_websocket_client_send_text(connection, message, (int)length, pdMS_TO_TICKS(SEND_MS));
        result = sent == (int)length ? ESP_PEER_ERR_NONE : ESP_PEER_ERR_FAIL;
    }
    xSemaphoreGive(lock);
    if (result != ESP_PEER_ERR_NONE && what != BYE) {
        ESP_LOGW(TAG, "a message to viewer %d was not sent (%d)", viewer, result);
    }
    return result;
}

/* --- what comes --- */

static int pass(place_t *place, esp_peer_signaling_msg_type_t type, const char *text)
{
    esp_peer_signaling_msg_t passed = {
        .type = type,
        .data = (uint8_t *)text,
        .size = text == NULL ? 0 : (int)strlen(text),
    };
    return place->peer.on_msg(&passed, place->peer.ctx);
}

static char *or_null(char *text)
{
    return *text == '\0' ? NULL : text;
}

static void begin_session(place_t *place, const char *offer)
{
    esp_peer_signaling_ice_info_t info = {
        .server_info = {.stun_url = or_null(ice_url), .user = or_null(ice_user), .psw = or_null(ice_password)},
        .is_initiator = offer == NULL,
    };

    place->answers = offer != NULL;
    if (place->peer.on_ice_info(&info, place->peer.ctx) != ESP_PEER_ERR_NONE ||
        place->peer.on_connected(place->peer.ctx) != ESP_PEER_ERR_NONE ||
        (offer != NULL && pass(place, ESP_PEER_SIGNALING_MSG_SDP, offer) != ESP_PEER_ERR_NONE)) {
        pass(place, ESP_PEER_SIGNALING_MSG_BYE, NULL);
        say(BYE, (int)(place - places), "the camera failed to begin");
    }
}

static void keep(char *where, const char *text)
{
    int length = snprintf(where, ICE_TEXT_BYTES, "%s", text == NULL ? "" : text);

    if (length >= ICE_TEXT_BYTES) {
        ESP_LOGE(TAG, "the ICE server's data are longer than %d bytes, and are not used", ICE_TEXT_BYTES);
        *where = '\0';
    }
}

static void act(const cctv_event *event)
{
    int viewer = event->viewer;
    bool has_place = viewer >= 0 && viewer < CCTV_MOST_VIEWERS && places[viewer].started;
    place_t *place = has_place ? &places[viewer] : NULL;

    switch (event->type) {
    case CCTV_WELCOME:
        keep(ice_url, event->ice.url);
        keep(ice_user, event->ice.username);
        keep(ice_password, event->ice.credential);
        say(JOIN, CCTV_NOBODY, NULL);
        break;
    case CCTV_JOINED:
        ESP_LOGI(TAG, "in the room");
        break;
    case CCTV_REFUSED:
        ESP_LOGE(TAG, "%s: %s", event->code == NULL ? "?" : event->code, event->text == NULL ? "" : event->text);
        break;
    case CCTV_FULL:
        say(BYE, viewer, "all places are taken");
        break;
    case CCTV_VIEWER:
    case CCTV_OFFER:
        if (place == NULL) {
            say(BYE, viewer, "this place is not in use");
        } else {
            begin_session(place, event->type == CCTV_OFFER ? event->text : NULL);
        }
        break;
    case CCTV_ANSWER:
        if (place != NULL) {
            pass(place, ESP_PEER_SIGNALING_MSG_SDP, event->text);
        }
        break;
    case CCTV_CANDIDATE:
        if (place != NULL && event->text != NULL) {
            pass(place, ESP_PEER_SIGNALING_MSG_CANDIDATE, event->text);
        }
        break;
    case CCTV_TOO_LARGE:
        ESP_LOGW(TAG, "viewer %d sent a description that is too large", viewer);
        say(BYE, viewer, event->text);
        /* fallthrough */
    case CCTV_GONE:
        if (place != NULL) {
            pass(place, ESP_PEER_SIGNALING_MSG_BYE, event->text);
        }
        break;
    case CCTV_NOTHING:
        break;
    }
}

/* Messages come in pieces of the client's buffer, and perhaps in several frames. */
static void take(const esp_websocket_event_data_t *data)
{
    if (data->op_code == CLOSE_FRAME) {
        close_code = data->data_len >= 2 ? (uint8_t)data->data_ptr[0] << 8 | (uint8_t)data->data_ptr[1] : 0;
        return;
    }
    if (data->op_code > TEXT_FRAME) {
        return;
    }
    if (data->op_code == TEXT_FRAME && data->payload_offset == 0) {
        incoming_length = 0;
        too_long = false;
    }
    too_long = too_long || incoming_length + (size_t)data->data_len > sizeof incoming;
    if (!too_long) {
        memcpy(incoming + incoming_length, data->data_ptr, (size_t)data->data_len);
        incoming_length += (size_t)data->data_len;
    }
    if (!data->fin || data->payload_offset + data->data_len < data->payload_len) {
        return;
    }
    if (too_long || xMessageBufferSend(queue, incoming, incoming_length, 0) == 0) {
        ESP_LOGW(TAG, "a message is left out: it is too long, or too many came");
    }
}

static void on_event(void *argument, esp_event_base_t base, int32_t id, void *data)
{
    (void)argument;
    (void)base;
    if (id == WEBSOCKET_EVENT_DATA) {
        take(data);
    } else if (id == WEBSOCKET_EVENT_FINISH) {
        over = true;
    }
}

/* The rules for coming back are the protocol's, not the WebSocket client's. */
static void stay_connected(void)
{
    int64_t now = esp_timer_get_time() / 1000;

    if (connecting && over) {
        uint32_t pause = cctv_retry_ms(&camera, close_code, (uint32_t)(now - begin_ms), esp_random());
        connecting = false;
        if (pause == CCTV_STAY_AWAY) {
            ESP_LOGE(TAG, "the server does not want this camera (code %d): change its settings", (int)close_code);
            next_ms = INT64_MAX;
        } else {
            ESP_LOGW(TAG, "no connection (code %d), trying again in %lu ms", (int)close_code, (unsigned long)pause);
            next_ms = now + SETTLE_MS + pause;
        }
    } else if (!connecting && now >= next_ms) {
        connecting = true;
        begin_ms = now;
        close_code = 0;
        over = false;
        if (esp_websocket_client_start(connection) != ESP_OK) {
            over = true;
        }
    }
}

void cctv_signaling_poll(uint32_t wait_ms)
{
    size_t length = xMessageBufferReceive(queue, received, sizeof received, pdMS_TO_TICKS(wait_ms));

    while (length > 0) {
        xSemaphoreTake(lock, portMAX_DELAY);
        cctv_event event = cctv_receive(&camera, received, length);
        xSemaphoreGive(lock);
        act(&event);
        length = xMessageBufferReceive(queue, received, sizeof received, 0);
    }
    stay_connected();
}

esp_err_t cctv_signaling_open(const cctv_signaling_options *options)
{
    cctv_config config = {
        .room = options->room,
        .camera_id = options->camera_id,
        .meta = options->meta,
        .most_viewers = CCTV_MOST_VIEWERS,
    };
    esp_websocket_client_config_t client = {
        .uri = options->server,
        .disable_auto_reconnect = true,
        .crt_bundle_attach = esp_crt_bundle_attach,
        .buffer_size = 4096,
        .task_stack = 6144,
        .network_timeout_ms = 10000,
        .ping_interval_sec = 10,
        .pingpong_timeout_sec = 30,
    };

    if (options->token != NULL && *options->token != '\0') {
        int length = snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n", options->token);
        if (length >= (int)sizeof authorization) {
            return ESP_ERR_INVALID_SIZE;
        }
        client.headers = authorization;
    }
    cctv_init(&camera, &config);
    lock = xSemaphoreCreateMutexStatic(&lock_state);
    queue = xMessageBufferCreateStatic(sizeof queue_bytes, queue_bytes, &queue_state);
    connection = esp_websocket_client_init(&client);
    if (connection == NULL) {
        return ESP_ERR_NO_MEM;
    }
    return esp_websocket_register_events(connection, WEBSOCKET_EVENT_ANY, on_event, NULL);
}

/* --- esp_peer_signaling_impl_t --- */

static int start(esp_peer_signaling_cfg_t *config, esp_peer_signaling_handle_t *handle)
{
    int number = config->extra_cfg == NULL ? 0 : *(const int *)config->extra_cfg;

    if (number < 0 || number >= CCTV_MOST_VIEWERS || places[number].started) {
        return ESP_PEER_ERR_INVALID_ARG;
    }
    places[number].peer = *config;
    places[number].started = true;
    *handle = &places[number];
    return ESP_PEER_ERR_NONE;
}

static int send_msg(esp_peer_signaling_handle_t handle, esp_peer_signaling_msg_t *sent)
{
    place_t *place = handle;
    int viewer = (int)(place - places);

    switch (sent->type) {
    case ESP_PEER_SIGNALING_MSG_SDP:
        return say(place->answers ? ANSWER : OFFER, viewer, (const char *)sent->data);
    case ESP_PEER_SIGNALING_MSG_CANDIDATE:
        return say(CANDIDATE, viewer, (const char *)sent->data);
    case ESP_PEER_SIGNALING_MSG_BYE:
        return say(BYE, viewer, "the camera ended it");
    default:
        return ESP_PEER_ERR_NOT_SUPPORT;
    }
}

static int stop(esp_peer_signaling_handle_t handle)
{
    place_t *place = handle;

    place->started = false;
    return ESP_PEER_ERR_NONE;
}

const esp_peer_signaling_impl_t *cctv_signaling_impl(void)
{
    static const esp_peer_signaling_impl_t implementation = {.start = start, .send_msg = send_msg, .stop = stop};
    return &implementation;
}
