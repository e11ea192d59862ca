#pragma once

#include <stdbool.h>

#include "esp_err.h"
#include "esp_peer.h"

/* Returns when there is an address, and connects again whenever the connection is lost. */
void wifi_connect(void);

/* The camera and its only encoder. Frames go to `viewers_send`. */
esp_err_t picture_open(void);

/* While nobody is connected, nothing is encoded. */
void picture_run(bool wanted);

/* Sets up the camera's wiring for esp_video (`esp_video_init`). The one in picture.c does nothing: define yours. */
esp_err_t board_open(void);

/* A place for each viewer, and, when the signaling is open, the task for all of them. */
esp_err_t viewers_open(void);
esp_err_t viewers_run(void);

/* To everybody who is connected. */
void viewers_send(esp_peer_video_frame_t *frame);
