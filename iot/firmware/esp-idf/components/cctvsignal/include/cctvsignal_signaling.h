/* cctvsignal as a signaling implementation for Espressif's esp_peer and esp_webrtc.
 *
 * That interface has no peer id: one signaling handle is one session. Here, each place for a viewer is such a
 * handle, and all of them share one WebSocket and one camera in the room.
 */
#pragma once

#include <stdint.h>

#include "esp_err.h"
#include "esp_peer_signaling.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The strings have to stay where they are. */
typedef struct {
    const char *server;         /* ws://host:port/ws or wss://host/ws */
    const char *room;
    const char *camera_id;
    const char *meta;           /* a JSON object, or NULL */
    const char *token;          /* "" or NULL: none */
} cctv_signaling_options;

/* Get ready to take a place in the room. Start the handles before. */
esp_err_t cctv_signaling_open(const cctv_signaling_options *options);

/* Call this again and again, always on one task: it connects, comes back whenever the connection is lost, and
 * calls the handles back, on that task alone. It waits up to `wait_ms` for something to come, and up to 5 s
 * while it sends. */
void cctv_signaling_poll(uint32_t wait_ms);

/* For `esp_peer_signaling_start`, or as `signaling_impl` of `esp_webrtc_open`. The `extra_cfg` has to be an `int`:
 * the number of the place, from 0. For each viewer that comes, `on_ice_info` and then `on_connected` are called,
 * and an SDP or candidate that is sent, on any task, reaches that viewer. A message of the type BYE ends the
 * session, from either side. */
const esp_peer_signaling_impl_t *cctv_signaling_impl(void);

#ifdef __cplusplus
}
#endif
