/* A camera of a cctvsignal room: Wi-Fi, then the picture and its viewers, then the room. */
#include "cctvsignal_signaling.h"
#include "esp_event.h"
#include "esp_netif.h"
#include "nvs_flash.h"
#include "parts.h"
#include "sdkconfig.h"

void app_main(void)
{
    static const cctv_signaling_options OPTIONS = {
        .server = CONFIG_CCTV_SERVER,
        .room = CONFIG_CCTV_ROOM,
        .camera_id = CONFIG_CCTV_CAMERA_ID,
        .meta = "{\"name\":\"" CONFIG_CCTV_CAMERA_NAME "\"}",
        .token = CONFIG_CCTV_TOKEN,
    };

    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    wifi_connect();
    ESP_ERROR_CHECK(picture_open());
    ESP_ERROR_CHECK(viewers_open());
    ESP_ERROR_CHECK(cctv_signaling_open(&OPTIONS));
    ESP_ERROR_CHECK(viewers_run());
}
