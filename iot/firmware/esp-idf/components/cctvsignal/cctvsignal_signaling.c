#include "cctvsignal_signaling.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cctvsignal.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

enum {
    MESSAGE_BYTES = 16384,      /* an SDP with its candidates has 2 to 6 KB */
    TEXT = 1,
    CLOSE = 8,
    ICE_TEXT_BYTES = 256,
    TASK_BYTES = 4096,
    SEND_MS = 5000,
    OVER = BIT0,                /* the connection is lost */
};

typedef struct {
    esp_peer_signaling_cfg_t peer;
    bool started;
    bool answers;               /* the viewer made the offer */
} place_t;

static const char TAG[] = "cctvsignal";
static cctv_camera camera;
static place_t places[CCTV_MOST_VIEWERS];
static char ice_url[ICE_TEXT_BYTES], ice_user[ICE_TEXT_BYTES], ice_password[ICE_TEXT_BYTES];
static char received[MESSAGE_BYTES], message[MESSAGE_BYTES], authorization[1024];
static size_t received_length;
static bool too_long;
static int close_code;
static esp_websocket_client_handle_t connection;
static EventGroupHandle_t events;
static SemaphoreHandle_t lock;  /* recursive: what is told to a peer makes it send */

static int say(size_t length)
{
    if (length == 0) {
        ESP_LOGE(TAG, "a message is longer than %d bytes, or its viewer is gone", MESSAGE_BYTES);
        return ESP_PEER_ERR_INVALID_ARG;
    }
    int sent = esp_websocket_client_send_text(connection, message, (int)length, pdMS_TO_TICKS(SEND_MS));
    return sent == (int)length ? ESP_PEER_ERR_NONE : ESP_PEER_ERR_FAIL;
}

static void pass(place_t *place, esp_peer_signaling_msg_type_t type, const char *text)
{
    esp_peer_signaling_msg_t passed = {
        .type = type,
        .data = (uint8_t *)text,
        .size = text == NULL ? 0 : (int)strlen(text),
    };
    place->peer.on_msg(&passed, place->peer.ctx);
}

static void begin_session(place_t *place, bool answers)
{
    esp_peer_signaling_ice_info_t info = {
        .server_info = {.stun_url = ice_url, .user = ice_user, .psw = ice_password},
        .is_initiator = !answers,
    };

    place->answers = answers;
    place->peer.on_ice_info(&info, place->peer.ctx);
    place->peer.on_connected(place->peer.ctx);
}

static void keep(char *where, const char *text)
{
    snprintf(where, ICE_TEXT_BYTES, "%s", text == NULL ? "" : text);
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
        say(cctv_write_join(&camera, message, sizeof message));
        break;
    case CCTV_JOINED:
        ESP_LOGI(TAG, "in the room");
        break;
    case CCTV_REFUSED:
        ESP_LOGE(TAG, "%s: %s", event->code == NULL ? "?" : event->code, event->text == NULL ? "" : event->text);
        break;
    case CCTV_FULL:
        say(cctv_write_bye(&camera, viewer, "all places are taken", message, sizeof message));
        break;
    case CCTV_VIEWER:
    case CCTV_OFFER:
        if (place == NULL) {
            say(cctv_write_bye(&camera, viewer, "this place is not in use", message, sizeof message));
            break;
        }
        begin_session(place, event->type == CCTV_OFFER);
        if (event->type == CCTV_OFFER) {
            pass(place, ESP_PEER_SIGNALING_MSG_SDP, event->text);
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
    case CCTV_GONE:
        if (place != NULL) {
            pass(place, ESP_PEER_SIGNALING_MSG_BYE, event->text);
        }
        break;
    case CCTV_NOTHING:
        break;
    }
}

/* Messages come in pieces of the client's buffer. */
static void take(const esp_websocket_event_data_t *data)
{
    if (data->op_code == CLOSE) {
        close_code = data->data_len >= 2 ? (uint8_t)data->data_ptr[0] << 8 | (uint8_t)data->data_ptr[1] : 0;
        return;
    }
    if (data->op_code > TEXT) {
        return;
    }
    if (data->op_code == TEXT && data->payload_offset == 0) {
        received_length = 0;
        too_long = false;
    }
    if (too_long || received_length + (size_t)data->data_len > sizeof received) {
        too_long = true;
        ESP_LOGW(TAG, "a message is longer than %d bytes, and is left out", MESSAGE_BYTES);
        return;
    }
    memcpy(received + received_length, data->data_ptr, (size_t)data->data_len);
    received_length += (size_t)data->data_len;
    if (data->fin && data->payload_offset + data->data_len >= data->payload_len) {
        cctv_event event = cctv_receive(&camera, received, received_length);
        act(&event);
    }
}

static void on_event(void *argument, esp_event_base_t base, int32_t id, void *data)
{
    (void)argument;
    (void)base;
    switch (id) {
    case WEBSOCKET_EVENT_DATA:
        xSemaphoreTakeRecursive(lock, portMAX_DELAY);
        take(data);
        xSemaphoreGiveRecursive(lock);
        break;
    case WEBSOCKET_EVENT_DISCONNECTED:
    case WEBSOCKET_EVENT_CLOSED:
    case WEBSOCKET_EVENT_ERROR:
        xEventGroupSetBits(events, OVER);
        break;
    default:
        break;
    }
}

/* The rules for coming back are the protocol's, not the WebSocket client's. */
static void stay_connected(void *argument)
{
    (void)argument;
    for (;;) {
        int64_t begin = esp_timer_get_time();
        close_code = 0;
        xEventGroupClearBits(events, OVER);
        if (esp_websocket_client_start(connection) == ESP_OK) {
            xEventGroupWaitBits(events, OVER, pdTRUE, pdFALSE, portMAX_DELAY);
            esp_websocket_client_stop(connection);
        }
        uint32_t held_ms = (uint32_t)((esp_timer_get_time() - begin) / 1000);
        uint32_t pause = cctv_retry_ms(&camera, close_code, held_ms, esp_random());
        if (pause == CCTV_STAY_AWAY) {
            ESP_LOGE(TAG, "the server does not want this camera (code %d): change its settings", close_code);
            vTaskDelete(NULL);
            return;
        }
        ESP_LOGW(TAG, "no connection (code %d), trying again in %lu ms", close_code, (unsigned long)pause);
        vTaskDelay(pdMS_TO_TICKS(pause));
    }
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
        .task_stack = 8192,     /* a peer is opened on it */
        .network_timeout_ms = 10000,
    };

    if (options->token != NULL && *options->token != '\0') {
        int length = snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n", options->token);
        if (length >= (int)sizeof authorization) {
            return ESP_ERR_INVALID_SIZE;
        }
        client.headers = authorization;
    }
    cctv_init(&camera, &config);
    lock = xSemaphoreCreateRecursiveMutex();
    events = xEventGroupCreate();
    connection = esp_websocket_client_init(&client);
    if (lock == NULL || events == NULL || connection == NULL) {
        return ESP_ERR_NO_MEM;
    }
    esp_websocket_register_events(connection, WEBSOCKET_EVENT_ANY, on_event, NULL);
    return xTaskCreate(stay_connected, "cctvsignal", TASK_BYTES, NULL, 5, NULL) == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
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

static size_t written(int viewer, bool answers, const esp_peer_signaling_msg_t *sent)
{
    const char *text = (const char *)sent->data;

    switch (sent->type) {
    case ESP_PEER_SIGNALING_MSG_SDP:
        return answers ? cctv_write_answer(&camera, viewer, text, message, sizeof message)
                       : cctv_write_offer(&camera, viewer, text, message, sizeof message);
    case ESP_PEER_SIGNALING_MSG_CANDIDATE:
        return cctv_write_candidate(&camera, viewer, text, message, sizeof message);
    case ESP_PEER_SIGNALING_MSG_BYE:
        return cctv_write_bye(&camera, viewer, "the camera ended it", message, sizeof message);
    default:
        return 0;
    }
}

static int send_msg(esp_peer_signaling_handle_t handle, esp_peer_signaling_msg_t *sent)
{
    place_t *place = handle;

    xSemaphoreTakeRecursive(lock, portMAX_DELAY);
    int result = say(written((int)(place - places), place->answers, sent));
    xSemaphoreGiveRecursive(lock);
    return result;
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
