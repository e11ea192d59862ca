// A plain relay on Node and `ws`: the yardstick of the benchmarks. It speaks section 1 of docs/protocol.md for
// well-behaved clients, with a map of rooms and JSON.parse/JSON.stringify, as one would write it in an afternoon.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const HEARTBEAT_SECONDS = Number(process.env.HEARTBEAT_SECONDS ?? 0); // 0: none

const rooms = new Map(); // room name -> Map of client id -> client

function send(client, message) {
  client.socket.send(JSON.stringify(message));
}

function broadcast(client, message) {
  const text = JSON.stringify(message);
  for (const other of rooms.get(client.room).values()) {
    if (other !== client) other.socket.send(text);
  }
}

function leave(client) {
  const members = rooms.get(client.room);
  if (!members) return;
  if (client.cameraId) {
    broadcast(client, { type: 'cameraUnavailable', cameraId: client.cameraId, clientId: client.id });
  }
  broadcast(client, { type: 'clientDisconnected', clientId: client.id });
  members.delete(client.id);
  if (members.size === 0) rooms.delete(client.room);
  client.room = undefined;
}

function join(client, message) {
  leave(client);
  client.room = message.room || 'default';
  client.deviceType = message.deviceType || 'viewer';
  client.cameraId = client.deviceType === 'camera' ? message.cameraId : undefined;
  if (!rooms.has(client.room)) rooms.set(client.room, new Map());
  const members = rooms.get(client.room);
  members.set(client.id, client);
  send(client, { type: 'joined', room: client.room });
  broadcast(client, {
    type: 'clientJoined',
    clientId: client.id,
    deviceType: client.deviceType,
    cameraId: client.cameraId,
  });
  if (client.cameraId) {
    broadcast(client, { type: 'cameraAvailable', cameraId: client.cameraId, clientId: client.id });
    return;
  }
  for (const other of members.values()) {
    if (other.cameraId) {
      send(client, { type: 'cameraAvailable', cameraId: other.cameraId, clientId: other.id });
    }
  }
}

function requestStream(client, message) {
  for (const other of rooms.get(client.room)?.values() ?? []) {
    if (other.cameraId === message.cameraId) {
      send(other, { type: 'viewerRequest', viewerId: client.id });
      return;
    }
  }
  send(client, { type: 'cameraNotFound', cameraId: message.cameraId });
}

function relay(client, message) {
  const receiver = rooms.get(client.room)?.get(message.target);
  if (!receiver) {
    send(client, { type: 'error', code: 'peerNotFound', message: 'There is no such client in the room.' });
    return;
  }
  const { target, ...rest } = message;
  send(receiver, { ...rest, sender: client.id });
}

function heartbeat() {
  this.isAlive = true;
}

function receive(client, data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    send(client, { type: 'error', code: 'invalidJson', message: 'This is not JSON.' });
    return;
  }
  switch (message?.type) {
    case 'join':
      join(client, message);
      break;
    case 'requestStream':
      requestStream(client, message);
      break;
    case 'offer':
    case 'answer':
    case 'iceCandidate':
      relay(client, message);
      break;
    default:
      send(client, { type: 'error', code: 'unknownType', message: 'There is no such type.' });
  }
}

const http = createServer((request, response) => {
  response.writeHead(404).end();
});
const server = new WebSocketServer({ server: http });
server.on('connection', (socket) => {
  const client = { id: randomUUID(), socket };
  socket.on('message', (data) => receive(client, data));
  socket.on('close', () => leave(client));
  socket.on('error', () => socket.terminate());
  if (HEARTBEAT_SECONDS > 0) {
    socket.isAlive = true;
    socket.on('pong', heartbeat);
  }
  send(client, { type: 'welcome', clientId: client.id });
});
if (HEARTBEAT_SECONDS > 0) {
  // As the README of ws shows it.
  setInterval(() => {
    for (const socket of server.clients) {
      if (!socket.isAlive) {
        socket.terminate();
        continue;
      }
      socket.isAlive = false;
      socket.ping();
    }
  }, HEARTBEAT_SECONDS * 1000);
}
// As many may wait to be accepted as this project's server lets wait.
http.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  console.log(`http://127.0.0.1:${http.address().port}/`);
});
