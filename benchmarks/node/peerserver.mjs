// PeerServer, as its package starts it.
import { PeerServer } from 'peer';

PeerServer({ port: 0, host: '127.0.0.1' }, (server) => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
