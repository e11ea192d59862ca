/* An ESP32-CAM (AI Thinker) for cctvsignal-esp32: stream, single pictures and settings over HTTP.
 *
 * It answers as the example CameraWebServer of arduino-esp32 does, so whatever can talk to that can talk to this:
 * /capture, /status and /control on port 80, /stream on port 81, one viewer at a time. New are an optional
 * secret, and an optional heartbeat to the bridge, which so learns the address of the device.
 *
 * Copy settings.example.h to settings.h and fill it in. Board "AI Thinker ESP32-CAM" of arduino-esp32 3.x; PSRAM
 * on. If it resets again and again when Wi-Fi starts, it wants a better power supply: 5 V and 2 A, on short wires.
 */
#include <ESPmDNS.h>
#include <HTTPClient.h>
#include <WiFi.h>

#include "esp_camera.h"
#include "esp_http_server.h"
#include "settings.h"

const char BOUNDARY[] = "123456789000000000000987654321";
const char SECRET_HEADER[] = "X-Camera-Secret";
const uint32_t HEARTBEAT_MS = 10000;
const uint32_t NO_FRAME_MS = 60000;  // Drivers freeze after hours now and then: only a reset helps.
const uint32_t OFFLINE_MS = 300000;  // So do Wi-Fi drivers.

static volatile uint32_t last_frame_ms;

// --- what is asked

// All bytes are compared, so that the time it takes tells nothing.
static bool is_allowed(httpd_req_t *request) {
  char given[65] = "";
  size_t length = strlen(DEVICE_SECRET);
  uint8_t differs = 0;

  if (length == 0) return true;
  httpd_req_get_hdr_value_str(request, SECRET_HEADER, given, sizeof given);
  differs = strlen(given) != length;
  for (size_t at = 0; at < length && at < sizeof given; at++) differs |= given[at] ^ DEVICE_SECRET[at];
  if (differs) httpd_resp_send_err(request, HTTPD_401_UNAUTHORIZED, "the secret is missing or wrong");
  return !differs;
}

static camera_fb_t *take_frame() {
  camera_fb_t *frame = esp_camera_fb_get();
  if (frame != NULL) last_frame_ms = millis();
  return frame;
}

static void write_stamp(char *text, size_t size, const camera_fb_t *frame) {
  snprintf(text, size, "%lld.%06ld", (long long)frame->timestamp.tv_sec, (long)frame->timestamp.tv_usec);
}

// Three chunks a frame, with the boundary before each part.
static esp_err_t stream(httpd_req_t *request) {
  char head[160], stamp[32];
  esp_err_t result = ESP_OK;

  if (!is_allowed(request)) return ESP_OK;
  snprintf(head, sizeof head, "multipart/x-mixed-replace;boundary=%s", BOUNDARY);
  httpd_resp_set_type(request, head);
  httpd_resp_set_hdr(request, "Access-Control-Allow-Origin", "*");
  httpd_resp_set_hdr(request, "X-Framerate", "60");
  while (result == ESP_OK) {
    camera_fb_t *frame = take_frame();
    if (frame == NULL) return ESP_FAIL;
    char part[160], boundary[64];
    int boundary_length = snprintf(boundary, sizeof boundary, "\r\n--%s\r\n", BOUNDARY);
    write_stamp(stamp, sizeof stamp, frame);
    int part_length = snprintf(part, sizeof part, "Content-Type: image/jpeg\r\nContent-Length: %u\r\nX-Timestamp: %s\r\n\r\n",
                               (unsigned)frame->len, stamp);
    result = httpd_resp_send_chunk(request, boundary, boundary_length);
    if (result == ESP_OK) result = httpd_resp_send_chunk(request, part, part_length);
    if (result == ESP_OK) result = httpd_resp_send_chunk(request, (const char *)frame->buf, frame->len);
    esp_camera_fb_return(frame);
  }
  return result;
}

static esp_err_t capture(httpd_req_t *request) {
  char stamp[32];

  if (!is_allowed(request)) return ESP_OK;
  camera_fb_t *frame = take_frame();
  if (frame == NULL) return httpd_resp_send_500(request);
  write_stamp(stamp, sizeof stamp, frame);
  httpd_resp_set_type(request, "image/jpeg");
  httpd_resp_set_hdr(request, "Content-Disposition", "inline; filename=capture.jpg");
  httpd_resp_set_hdr(request, "Access-Control-Allow-Origin", "*");
  httpd_resp_set_hdr(request, "X-Timestamp", stamp);
  esp_err_t result = httpd_resp_send(request, (const char *)frame->buf, frame->len);
  esp_camera_fb_return(frame);
  return result;
}

static esp_err_t status(httpd_req_t *request) {
  char text[512];
  sensor_t *sensor = esp_camera_sensor_get();
  const camera_status_t *now = &sensor->status;

  if (!is_allowed(request)) return ESP_OK;
  int length = snprintf(text, sizeof text,
      "{\"framesize\":%u,\"quality\":%u,\"brightness\":%d,\"contrast\":%d,\"saturation\":%d,\"special_effect\":%u,"
      "\"wb_mode\":%u,\"awb\":%u,\"aec\":%u,\"ae_level\":%d,\"agc\":%u,\"hmirror\":%u,\"vflip\":%u,\"colorbar\":%u}",
      now->framesize, now->quality, now->brightness, now->contrast, now->saturation, now->special_effect,
      now->wb_mode, now->awb, now->aec, now->ae_level, now->agc, now->hmirror, now->vflip, now->colorbar);
  httpd_resp_set_type(request, "application/json");
  return httpd_resp_send(request, text, length);
}

static int set(const char *name, int value) {
  sensor_t *s = esp_camera_sensor_get();

  if (!strcmp(name, "framesize")) return s->set_framesize(s, (framesize_t)value);
  if (!strcmp(name, "quality")) return s->set_quality(s, value);
  if (!strcmp(name, "brightness")) return s->set_brightness(s, value);
  if (!strcmp(name, "contrast")) return s->set_contrast(s, value);
  if (!strcmp(name, "saturation")) return s->set_saturation(s, value);
  if (!strcmp(name, "special_effect")) return s->set_special_effect(s, value);
  if (!strcmp(name, "wb_mode")) return s->set_wb_mode(s, value);
  if (!strcmp(name, "awb")) return s->set_whitebal(s, value);
  if (!strcmp(name, "aec")) return s->set_exposure_ctrl(s, value);
  if (!strcmp(name, "ae_level")) return s->set_ae_level(s, value);
  if (!strcmp(name, "agc")) return s->set_gain_ctrl(s, value);
  if (!strcmp(name, "hmirror")) return s->set_hmirror(s, value);
  if (!strcmp(name, "vflip")) return s->set_vflip(s, value);
  if (!strcmp(name, "colorbar")) return s->set_colorbar(s, value);
  return -1;
}

static esp_err_t control(httpd_req_t *request) {
  char query[96] = "", name[32], value[32];

  if (!is_allowed(request)) return ESP_OK;
  httpd_req_get_url_query_str(request, query, sizeof query);
  if (httpd_query_key_value(query, "var", name, sizeof name) != ESP_OK ||
      httpd_query_key_value(query, "val", value, sizeof value) != ESP_OK)
    return httpd_resp_send_404(request);
  if (set(name, atoi(value)) < 0) return httpd_resp_send_500(request);
  return httpd_resp_send(request, NULL, 0);
}

static void serve(uint16_t port, const httpd_uri_t *pages, size_t count) {
  httpd_handle_t server = NULL;
  httpd_config_t config = HTTPD_DEFAULT_CONFIG();

  config.server_port = port;
  config.ctrl_port += port;  // Each server needs a control port of its own.
  if (httpd_start(&server, &config) != ESP_OK) return;
  for (size_t at = 0; at < count; at++) httpd_register_uri_handler(server, &pages[at]);
}

// --- the device

static bool start_camera() {
  camera_config_t config = {};

  // The wiring of the AI Thinker board.
  config.pin_pwdn = 32, config.pin_reset = -1, config.pin_xclk = 0, config.pin_sccb_sda = 26, config.pin_sccb_scl = 27;
  config.pin_d7 = 35, config.pin_d6 = 34, config.pin_d5 = 39, config.pin_d4 = 36;
  config.pin_d3 = 21, config.pin_d2 = 19, config.pin_d1 = 18, config.pin_d0 = 5;
  config.pin_vsync = 25, config.pin_href = 23, config.pin_pclk = 22;
  config.ledc_channel = LEDC_CHANNEL_0, config.ledc_timer = LEDC_TIMER_0;
  config.xclk_freq_hz = 20000000;
  config.pixel_format = PIXFORMAT_JPEG;
  if (psramFound()) {
    // Buffers for the largest size, so that it can be chosen later.
    config.frame_size = FRAMESIZE_UXGA, config.jpeg_quality = 10, config.fb_count = 2;
    config.fb_location = CAMERA_FB_IN_PSRAM, config.grab_mode = CAMERA_GRAB_LATEST;
  } else {
    config.frame_size = FRAMESIZE_SVGA, config.jpeg_quality = 12, config.fb_count = 1;
    config.fb_location = CAMERA_FB_IN_DRAM, config.grab_mode = CAMERA_GRAB_WHEN_EMPTY;
  }
  if (esp_camera_init(&config) != ESP_OK) return false;
  sensor_t *sensor = esp_camera_sensor_get();
  sensor->set_framesize(sensor, FRAMESIZE_VGA);
  return true;
}

// Reads the clock last: `since` may be set by another task in between, and must not be after it.
static bool is_over(uint32_t ms, uint32_t since) {
  return millis() - since > ms;
}

static void tell_bridge() {
  if (strlen(BRIDGE_URL) == 0 || WiFi.status() != WL_CONNECTED) return;
  HTTPClient http;
  http.setConnectTimeout(2000);
  http.setTimeout(2000);
  if (!http.begin(String(BRIDGE_URL) + "/heartbeat")) return;
  http.addHeader("Authorization", String("Bearer ") + BRIDGE_SECRET);
  http.addHeader("Content-Type", "application/json");
  int code = http.POST(String("{\"id\":\"") + DEVICE_ID + "\"}");
  if (code != 204) Serial.printf("the bridge answers %d\n", code);
  http.end();
}

void setup() {
  static const httpd_uri_t pages[] = {
      {"/capture", HTTP_GET, capture, NULL}, {"/status", HTTP_GET, status, NULL}, {"/control", HTTP_GET, control, NULL}};
  static const httpd_uri_t streams[] = {{"/stream", HTTP_GET, stream, NULL}};

  Serial.begin(115200);
  if (!start_camera()) {
    Serial.println("there is no camera: check its cable, and the chosen board");
    delay(5000);
    ESP.restart();
  }
  WiFi.mode(WIFI_STA);
  WiFi.setHostname(DEVICE_ID);
  WiFi.setSleep(false);  // Modem sleep costs pictures and latency.
  WiFi.setAutoReconnect(true);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) {
    if (millis() > OFFLINE_MS) ESP.restart();
    delay(250);
  }
  MDNS.begin(DEVICE_ID);
  MDNS.addService("http", "tcp", 80);
  serve(80, pages, 3);
  serve(81, streams, 1);
  last_frame_ms = millis();
  Serial.printf("cctvsignal-esp32 --device http://%s --id %s\n", WiFi.localIP().toString().c_str(), DEVICE_ID);
}

void loop() {
  static uint32_t online_ms = millis();

  if (WiFi.status() == WL_CONNECTED) online_ms = millis();
  // A frame now and then, also while nobody watches: that is how a frozen driver is noticed.
  if (is_over(NO_FRAME_MS / 2, last_frame_ms)) {
    camera_fb_t *frame = take_frame();
    if (frame != NULL) esp_camera_fb_return(frame);
  }
  if (is_over(NO_FRAME_MS, last_frame_ms) || is_over(OFFLINE_MS, online_ms)) ESP.restart();
  tell_bridge();
  delay(HEARTBEAT_MS);
}
