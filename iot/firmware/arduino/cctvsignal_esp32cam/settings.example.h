#pragma once

#define WIFI_NAME "my network"
#define WIFI_PASSWORD "its password"

// The camera's id in the bridge's configuration; also its name in the network: http://porch.local
#define DEVICE_ID "porch"

// What the bridge has as `secret`; "" lets everybody in the network watch. Up to 64 characters.
#define DEVICE_SECRET ""

// Where the bridge listens, such as "http://192.168.1.2:8090", and its `heartbeat-secret`; "" for no heartbeats.
#define BRIDGE_URL ""
#define BRIDGE_SECRET ""
