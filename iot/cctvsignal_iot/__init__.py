"""An ESP32 camera that serves MJPEG over HTTP becomes a camera of a room: see docs/esp32.md."""
