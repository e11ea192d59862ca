import { Connection } from "./connection.js";

/**
 * @typedef {object} ClientOptions
 * @property {string} [url] of the server's WebSocket; in browsers, by default, that of the page's server
 * @property {string} [room] "default" by default
 * @property {string} [token] for servers that want one
 * @property {{base?: number, cap?: number} | false} [reconnect] how long at least and at most, in milliseconds,
 *   until a lost connection is made again (500 and 30,000, with full jitter); false for never
 * @property {Record<string, unknown>} [meta] what others see of this client, at most 2 KiB as JSON
 * @property {RTCIceServer[]} [iceServers] by default those that the server names, and never any others
 * @property {typeof WebSocket} [WebSocket] for Node, where there is none
 * @property {typeof RTCPeerConnection} [RTCPeerConnection] for Node
 *
 * @typedef {object} CameraInfo
 * @property {string} cameraId
 * @property {string} clientId
 * @property {string} [token] for servers that want one
 * @property {{base?: number, cap?: number} | false} [reconnect] how long at least and at most, in milliseconds,
 *   until a lost connection is made again (500 and 30,000, with full jitter); false for never
 * @property {Record<string, unknown>} [meta]
 * @property {number} [viewers] only in the answer of `getAvailableCameras`
 */

/**
 * A client in one room of a server. `CameraClient` and `ViewerClient` build on it.
 *
 * `connect` joins the room; a connection that is lost comes back by itself, and running peer connections
 * outlive it. Events (`on`, `once`, `off`, or `addEventListener` with the value in `detail`): `connected`,
 * `welcome`, `roomJoined`, `clientJoined`, `clientDisconnected`, `cameraAvailable`, `cameraUnavailable`,
 * `cameraNotFound`, `viewerRequest`, `disconnected`, `reconnecting`, `error`.
 */
export class WebRTCCCTVClient extends Connection {
  /**
   * Go to another room.
   * @param {string} [room]
   * @returns {Promise<void>}
   */
  joinRoom(room = this.room) {
    return this._join(room);
  }

  /**
   * The cameras of the room, as the server knows them now.
   * @returns {Promise<CameraInfo[]>}
   */
  async getAvailableCameras() {
    return (await this._ask({ type: "listCameras" }, "cameras")).cameras;
  }

  /** End everything, for good. */
  close() {
    this.disconnect();
  }

  /** @returns {RTCPeerConnection} */
  _newPeerConnection() {
    const PeerConnection = this.options.RTCPeerConnection ?? globalThis.RTCPeerConnection;
    return new PeerConnection({ iceServers: this.options.iceServers ?? this.welcome?.iceServers ?? [] });
  }
}
