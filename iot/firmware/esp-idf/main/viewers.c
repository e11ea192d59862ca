/* One peer for each place. One task has all of them and the signaling, because a peer is not for several tasks at
 * a time; only frames come from another. */
#include <stdatomic.h>

#include "cctvsignal.h"
#include "cctvsignal_signaling.h"
#include "esp_log.h"
#include "esp_peer_default.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "parts.h"
#include "sdkconfig.h"

enum {
    LOOP_MS = 10,
    TASK_BYTES = 25 * 1024,     /* DTLS handshakes happen on it */
    ANSWER_MS = 500,            /* of STUN, TURN and DTLS, also from far away */
    SEND_POOL_BYTES = (CONFIG_CAMERA_WIDTH * CONFIG_CAMERA_HEIGHT > 640 * 480 ? 400 : 100) * 1024,
};

typedef struct {
    int number;
    esp_peer_signaling_handle_t signaling;
    esp_peer_handle_t peer;
    atomic_bool active;         /* there is a session */
    atomic_bool connected;
    atomic_bool failed;         /* to be ended by the task */
} viewer_t;

static const char TAG[] = "viewers";
static viewer_t viewers[CCTV_MOST_VIEWERS];
static SemaphoreHandle_t sending;   /* is held while frames are sent, or a session ends */

static int on_state(esp_peer_state_t state, void *context)
{
    viewer_t *viewer = context;

    if (state == ESP_PEER_STATE_CONNECTED) {
        viewer->connected = viewer->active;
    } else if (state == ESP_PEER_STATE_DISCONNECTED || state == ESP_PEER_STATE_CONNECT_FAILED) {
        viewer->failed = viewer->active;
    }
    ESP_LOGI(TAG, "viewer %d is in state %d", viewer->number, state);
    return 0;
}

/* The types of both kinds of messages are the same numbers. */
static int on_peer_message(esp_peer_msg_t *message, void *context)
{
    viewer_t *viewer = context;
    esp_peer_signaling_msg_t passed = {(esp_peer_signaling_msg_type_t)message->type, message->data, message->size};

    int result = cctv_signaling_impl()->send_msg(viewer->signaling, &passed);
    if (result != ESP_PEER_ERR_NONE && passed.type == ESP_PEER_SIGNALING_MSG_SDP) {
        /* Longer than the server takes, or it is not connected: nothing comes of this session. */
        viewer->failed = viewer->active;
    }
    return result;
}

static int end_session(viewer_t *viewer)
{
    viewer->active = viewer->connected = viewer->failed = false;
    if (viewer->peer == NULL) {
        return ESP_PEER_ERR_NONE;
    }
    xSemaphoreTake(sending, portMAX_DELAY);
    int result = esp_peer_disconnect(viewer->peer);
    xSemaphoreGive(sending);
    return result;
}

static int on_ice_info(esp_peer_signaling_ice_info_t *info, void *context)
{
    viewer_t *viewer = context;
    int servers = info->server_info.stun_url == NULL ? 0 : 1;
    esp_peer_role_t role = info->is_initiator ? ESP_PEER_ROLE_CONTROLLING : ESP_PEER_ROLE_CONTROLLED;
    esp_peer_default_cfg_t details = {.agent_recv_timeout = ANSWER_MS, .rtp_cfg = {.send_pool_size = SEND_POOL_BYTES}};
    esp_peer_cfg_t config = {
        .server_lists = &info->server_info,
        .server_num = (uint8_t)servers,
        .role = role,
        .audio_dir = ESP_PEER_MEDIA_DIR_NONE,
        .video_dir = ESP_PEER_MEDIA_DIR_SEND_ONLY,
        .video_info = {ESP_PEER_VIDEO_CODEC_H264, CONFIG_CAMERA_WIDTH, CONFIG_CAMERA_HEIGHT, CONFIG_CAMERA_FPS},
        .no_auto_reconnect = true,
        .on_state = on_state,
        .on_msg = on_peer_message,
        .ctx = viewer,
        .extra_cfg = &details,
        .extra_size = sizeof details,
    };

    if (viewer->active) {       /* the same viewer asks anew */
        end_session(viewer);
    }
    if (viewer->peer != NULL) {
        return esp_peer_update_ice_info(viewer->peer, role, &info->server_info, servers);
    }
    return esp_peer_open(&config, esp_peer_get_default_impl(), &viewer->peer);
}

static int on_connected(void *context)
{
    viewer_t *viewer = context;

    viewer->active = true;
    return esp_peer_new_connection(viewer->peer);
}

static int on_message(esp_peer_signaling_msg_t *message, void *context)
{
    viewer_t *viewer = context;
    esp_peer_msg_t passed = {(esp_peer_msg_type_t)message->type, message->data, message->size};

    if (message->type == ESP_PEER_SIGNALING_MSG_BYE) {
        return end_session(viewer);
    }
    return viewer->active ? esp_peer_send_msg(viewer->peer, &passed) : ESP_PEER_ERR_WRONG_STATE;
}

static int on_close(void *context)
{
    (void)context;
    return 0;
}

void viewers_send(esp_peer_video_frame_t *frame)
{
    xSemaphoreTake(sending, portMAX_DELAY);
    for (viewer_t *viewer = viewers; viewer < viewers + CCTV_MOST_VIEWERS; viewer++) {
        if (viewer->connected) {
            esp_peer_send_video(viewer->peer, frame);
        }
    }
    xSemaphoreGive(sending);
}

static void run(void *argument)
{
    bool was_wanted = false;

    (void)argument;
    for (;;) {
        bool wanted = false;
        cctv_signaling_poll(LOOP_MS);
        for (viewer_t *viewer = viewers; viewer < viewers + CCTV_MOST_VIEWERS; viewer++) {
            if (viewer->peer != NULL && viewer->active) {
                esp_peer_main_loop(viewer->peer);
            }
            if (viewer->failed) {
                /* The server does not see this: without a bye, the place would be taken for good. */
                esp_peer_signaling_msg_t bye = {.type = ESP_PEER_SIGNALING_MSG_BYE};
                cctv_signaling_impl()->send_msg(viewer->signaling, &bye);
                end_session(viewer);
            }
            wanted = wanted || viewer->connected;
        }
        if (wanted != was_wanted) {
            picture_run(wanted);
            was_wanted = wanted;
        }
    }
}

esp_err_t viewers_open(void)
{
    sending = xSemaphoreCreateMutex();
    if (sending == NULL) {
        return ESP_ERR_NO_MEM;
    }
    for (int number = 0; number < CCTV_MOST_VIEWERS; number++) {
        viewer_t *viewer = &viewers[number];
        esp_peer_signaling_cfg_t config = {
            .on_ice_info = on_ice_info,
            .on_connected = on_connected,
            .on_msg = on_message,
            .on_close = on_close,
            .extra_cfg = &viewer->number,
            .extra_size = sizeof viewer->number,
            .ctx = viewer,
        };
        viewer->number = number;
        if (cctv_signaling_impl()->start(&config, &viewer->signaling) != ESP_PEER_ERR_NONE) {
            return ESP_FAIL;
        }
    }
    if (esp_peer_pre_generate_cert() != ESP_PEER_ERR_NONE) {
        ESP_LOGW(TAG, "no certificate yet: the first viewer waits for it");
    }
    return ESP_OK;
}

esp_err_t viewers_run(void)
{
    return xTaskCreate(run, "viewers", TASK_BYTES, NULL, 7, NULL) == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}
