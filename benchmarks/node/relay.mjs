// The same protocol as a person would write it in an afternoon: the `ws` package, a map of rooms,
// JSON.parse and JSON.stringify. Prints its address when it is ready.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ status: "OK", timestamp: new Date().toISOString() }));
});
const sockets = new WebSocketServer({ server, maxPayload: 64 * 1024 });

function send(socket, message) {
  if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
}

function tellOthers(client, message) {
  for (const member of rooms.get(client.room)?.values() ?? []) {
    if (member !== client) send(member.socket, message);
  }
}

function leave(client) {
  const room = rooms.get(client.room);
  if (!room) return;
  room.delete(client.id);
  if (client.cameraId) {
    tellOthers(client, { type: "cameraUnavailable", cameraId: client.cameraId, clientId: client.id });
  }
  tellOthers(client, { type: "clientDisconnected", clientId: client.id });
  if (room.size === 0) rooms.delete(client.room);
  client.room = undefined;
}

function join(client, message) {
  leave(client);
  client.room = message.room || "default";
  client.deviceType = message.deviceType || "viewer";
  client.cameraId = client.deviceType === "camera" ? message.cameraId : undefined;
  if (!rooms.has(client.room)) rooms.set(client.room, new Map());
  rooms.get(client.room).set(client.id, client);
  send(client.socket, { type: "joined", room: client.room });
  const { id: clientId, deviceType, cameraId } = client;
  tellOthers(client, { type: "clientJoined", clientId, deviceType, cameraId });
  if (cameraId) {
    tellOthers(client, { type: "cameraAvailable", cameraId, clientId });
  } else {
    for (const member of rooms.get(client.room).values()) {
      if (!member.cameraId) continue;
      send(client.socket, { type: "cameraAvailable", cameraId: member.cameraId, clientId: member.id });
    }
  }
}

sockets.on("connection", (socket) => {
  const client = { id: randomUUID(), socket };
  send(socket, { type: "welcome", clientId: client.id });
  socket.on("close", () => leave(client));
  socket.on("message", (data) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return send(socket, { type: "error", code: "invalidJson", message: "That is not JSON." });
    }
    switch (message.type) {
      case "join":
        return join(client, message);
      case "requestStream": {
        const members = [...(rooms.get(client.room)?.values() ?? [])];
        const camera = members.find((member) => member.cameraId === message.cameraId);
        if (!camera) return send(socket, { type: "cameraNotFound", cameraId: message.cameraId });
        return send(camera.socket, { type: "viewerRequest", viewerId: client.id, requestId: randomUUID() });
      }
      case "offer":
      case "answer":
      case "iceCandidate": {
        const peer = rooms.get(client.room)?.get(message.target);
        if (!peer) return send(socket, { type: "error", code: "peerNotFound", message: "No such peer." });
        const { target, ...relayed } = message;
        return send(peer.socket, { ...relayed, sender: client.id });
      }
      default:
        return send(socket, { type: "error", code: "unknownType", message: "No such type." });
    }
  });
});

server.listen(0, "127.0.0.1", () => console.log(`ready: http://127.0.0.1:${server.address().port}/`));
process.on("SIGTERM", () => process.exit(0));
