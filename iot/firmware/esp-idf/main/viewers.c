/* One peer for each place. All of them run on one task, which alone opens and ends their sessions. */
#include "cctvsignal.h"
#include "cctvsignal_signaling.h"
#include "esp_log.h"
#include "esp_peer_default.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "parts.h"
#include "sdkconfig.h"

enum { LOOP_MS = 10, TASK_BYTES = 10240 };

typedef struct {
    int number;
    esp_peer_signaling_handle_t signaling;
    esp_peer_handle_t peer;
    bool active;                /* there is a session */
    bool connected;
    bool failed;                /* to be ended by the task */
} viewer_t;

static const char TAG[] = "viewers";
static viewer_t viewers[CCTV_MOST_VIEWERS];
static SemaphoreHandle_t lock;

static int on_state(esp_peer_state_t state, void *context)
{
    viewer_t *viewer = context;

    if (state == ESP_PEER_STATE_CONNECTED) {
        viewer->connected = true;
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
    return esp_peer_signaling_send_msg(viewer->signaling, (esp_peer_signaling_msg_t *)message);
}

static int on_ice_info(esp_peer_signaling_ice_info_t *info, void *context)
{
    viewer_t *viewer = context;
    int servers = *info->server_info.stun_url == '\0' ? 0 : 1;
    esp_peer_role_t role = info->is_initiator ? ESP_PEER_ROLE_CONTROLLING : ESP_PEER_ROLE_CONTROLLED;
    esp_peer_default_cfg_t details = {.agent_recv_timeout = 10};
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

    if (viewer->peer != NULL) {
        return esp_peer_update_ice_info(viewer->peer, role, &info->server_info, servers);
    }
    return esp_peer_open(&config, esp_peer_get_default_impl(), &viewer->peer);
}

static int on_connected(void *context)
{
    viewer_t *viewer = context;

    xSemaphoreTake(lock, portMAX_DELAY);
    viewer->active = true;
    viewer->connected = viewer->failed = false;
    xSemaphoreGive(lock);
    return viewer->peer == NULL ? ESP_PEER_ERR_NO_MEM : esp_peer_new_connection(viewer->peer);
}

static int on_message(esp_peer_signaling_msg_t *message, void *context)
{
    viewer_t *viewer = context;

    if (message->type == ESP_PEER_SIGNALING_MSG_BYE) {
        xSemaphoreTake(lock, portMAX_DELAY);
        viewer->active = viewer->connected = viewer->failed = false;
        xSemaphoreGive(lock);
        return viewer->peer == NULL ? 0 : esp_peer_disconnect(viewer->peer);
    }
    return viewer->peer == NULL ? 0 : esp_peer_send_msg(viewer->peer, (esp_peer_msg_t *)message);
}

static int on_close(void *context)
{
    (void)context;
    return 0;
}

void viewers_send(esp_peer_video_frame_t *frame)
{
    for (viewer_t *viewer = viewers; viewer < viewers + CCTV_MOST_VIEWERS; viewer++) {
        xSemaphoreTake(lock, portMAX_DELAY);
        bool wants = viewer->active && viewer->connected;
        xSemaphoreGive(lock);
        if (wants) {
            esp_peer_send_video(viewer->peer, frame);
        }
    }
}

static void run(void *argument)
{
    bool was_wanted = false;

    (void)argument;
    for (;;) {
        bool wanted = false;
        for (viewer_t *viewer = viewers; viewer < viewers + CCTV_MOST_VIEWERS; viewer++) {
            if (viewer->peer == NULL) {
                continue;
            }
            esp_peer_main_loop(viewer->peer);
            xSemaphoreTake(lock, portMAX_DELAY);
            bool failed = viewer->failed;
            if (failed) {
                viewer->active = viewer->connected = viewer->failed = false;
            }
            wanted = wanted || (viewer->active && viewer->connected);
            xSemaphoreGive(lock);
            if (failed) {
                /* The server does not see this: without a bye, the place would be taken for good. */
                esp_peer_signaling_msg_t bye = {.type = ESP_PEER_SIGNALING_MSG_BYE};
                esp_peer_signaling_send_msg(viewer->signaling, &bye);
                esp_peer_disconnect(viewer->peer);
            }
        }
        if (wanted != was_wanted) {
            picture_run(wanted);
            was_wanted = wanted;
        }
        vTaskDelay(pdMS_TO_TICKS(LOOP_MS));
    }
}

esp_err_t viewers_open(void)
{
    lock = xSemaphoreCreateMutex();
    if (lock == NULL) {
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
        if (esp_peer_signaling_start(&config, cctv_signaling_impl(), &viewer->signaling) != ESP_PEER_ERR_NONE) {
            return ESP_ERR_NO_MEM;
        }
    }
    return xTaskCreate(run, "viewers", TASK_BYTES, NULL, 7, NULL) == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}
