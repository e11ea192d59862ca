/* One camera, one H.264 encoder, however many watch. */
#include <string.h>

#include "esp_capture_defaults.h"
#include "esp_capture_sink.h"
#include "esp_log.h"
#include "esp_video_enc_default.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "parts.h"
#include "sdkconfig.h"

static const char TAG[] = "picture";
static esp_capture_handle_t capture;
static esp_capture_sink_handle_t sink;

static void pump(void *argument)
{
    (void)argument;
    for (;;) {
        esp_capture_stream_frame_t frame = {.stream_type = ESP_CAPTURE_STREAM_TYPE_VIDEO};
        if (esp_capture_sink_acquire_frame(sink, &frame, false) != ESP_CAPTURE_ERR_OK) {
            vTaskDelay(pdMS_TO_TICKS(50));
            continue;
        }
        esp_peer_video_frame_t passed = {.pts = frame.pts, .data = frame.data, .size = frame.size};
        viewers_send(&passed);
        esp_capture_sink_release_frame(sink, &frame);
    }
}

__attribute__((weak)) esp_err_t board_open(void)
{
    return ESP_OK;
}

esp_err_t picture_open(void)
{
    esp_capture_video_v4l2_src_cfg_t source = {.buf_count = 2};
    esp_capture_sink_cfg_t wanted = {
        .video_info = {
            .format_id = ESP_CAPTURE_FMT_ID_H264,
            .width = CONFIG_CAMERA_WIDTH,
            .height = CONFIG_CAMERA_HEIGHT,
            .fps = CONFIG_CAMERA_FPS,
        },
    };

    esp_err_t result = board_open();
    if (result != ESP_OK) {
        return result;
    }
    strncpy(source.dev_name, CONFIG_CAMERA_DEVICE, sizeof source.dev_name - 1);
    esp_video_enc_register_default();
    esp_capture_cfg_t config = {.video_src = esp_capture_new_video_v4l2_src(&source)};
    if (config.video_src == NULL || esp_capture_open(&config, &capture) != ESP_CAPTURE_ERR_OK ||
        esp_capture_sink_setup(capture, 0, &wanted, &sink) != ESP_CAPTURE_ERR_OK ||
        esp_capture_sink_enable(sink, ESP_CAPTURE_RUN_MODE_ALWAYS) != ESP_CAPTURE_ERR_OK) {
        ESP_LOGE(TAG, "there is no camera at %s that can be encoded", CONFIG_CAMERA_DEVICE);
        return ESP_FAIL;
    }
    return xTaskCreate(pump, "picture", 4096, NULL, 6, NULL) == pdPASS ? ESP_OK : ESP_ERR_NO_MEM;
}

void picture_run(bool wanted)
{
    int result = wanted ? esp_capture_start(capture) : esp_capture_stop(capture);
    if (result != ESP_CAPTURE_ERR_OK) {
        ESP_LOGE(TAG, "the camera does not %s", wanted ? "start" : "stop");
    }
}
