// The relay of relay.mjs as rooms of Socket.IO, as its documentation writes it: a room for the members, and the
// room of one that each socket is in for what is meant for it.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });
io.on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.join(room);
    socket.emit('joined', room);
    socket.to(room).emit('clientJoined', socket.id);
  });
  for (const type of ['offer', 'answer', 'iceCandidate']) {
    socket.on(type, (target, content) => socket.to(target).emit(type, socket.id, content));
  }
});
http.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${http.address().port}/`);
});
