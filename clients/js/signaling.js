import { Connection } from "./connection.js";
import { ForbiddenError, MessageTooLongError, UnauthorizedError } from "./errors.js";

/**
 * What is used of a WebSocket.
 * @typedef {object} Socket
 * @property {number} readyState
 * @property {(text: string) => void} send
 * @property {(code?: number) => void} close
 * @property {(type: any, listener: (event: any) => void) => void} addEventListener
 *
 * @typedef {object} ClientOptions
 * @property {string} [url] of the server's WebSocket; in browsers, by default, that of the page's server
 * @property {string} [room] "default" by default
 * @property {string} [token] for servers that want one; `authenticate` gives another one later
 * @property {{base?: number, cap?: number} | false} [reconnect] how long at least and at most, in milliseconds,
 *   until a lost connection is made again (500 and 30,000, with full jitter); false for never
 * @property {Record<string, unknown>} [meta] what others see of this client, at most 2 KiB as JSON
 * @property {RTCIceServer[]} [iceServers] by default those that the server names, and never any others
 * @property {new (url: string) => Socket} [WebSocket] for Node before version 22: that of the package `ws`
 * @property {new (configuration: any) => any} [RTCPeerConnection] for Node: that of the package `werift`
 *
 * @typedef {object} CameraInfo
 * @property {string} cameraId
 * @property {string} clientId
 * @property {Record<string, unknown>} [meta]
 * @property {number} [viewers] only in the answer of `getAvailableCameras`
 *
 * @typedef {import("./errors.js").ClientError} ClientError
 *
 * @typedef {object} ClientEvents
 * @property {{clientId: string, reconnected: boolean}} connected
 * @property {Record<string, any>} welcome
 * @property {{room: string}} roomJoined
 * @property {ClientInfo} clientJoined
 * @property {{clientId: string}} clientDisconnected
 * @property {CameraInfo} cameraAvailable
 * @property {{cameraId: string, clientId: string}} cameraUnavailable
 * @property {{cameraId: string}} cameraNotFound
 * @property {{viewerId: string, requestId: string}} viewerRequest
 * @property {{code: number, reason: string, willReconnect: boolean, error: ClientError}} disconnected
 * @property {{attempt: number, delay: number, error: ClientError}} reconnecting `delay` in milliseconds
 * @property {ClientError} error that no method of the client rejects with
 *
 * @typedef {object} ClientInfo
 * @property {string} clientId
 * @property {"camera" | "viewer"} deviceType
 * @property {string} [cameraId] of a camera
 * @property {Record<string, unknown>} [meta]
 */

/**
 * A client in one room of a server. `CameraClient` and `ViewerClient` build on it.
 *
 * `connect` joins the room; a connection that is lost comes back by itself, and running peer connections
 * outlive it. Events (`on`, `once`, `off`, or `addEventListener` with the value in `detail`): `connected`,
 * `welcome`, `roomJoined`, `clientJoined`, `clientDisconnected`, `cameraAvailable`, `cameraUnavailable`,
 * `cameraNotFound`, `viewerRequest`, `disconnected`, `reconnecting`, `error`.
 * @template {ClientEvents} [Events=ClientEvents]
 * @extends {Connection<Events>}
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

  /**
   * Prove anew who this client is, before its token expires. The new token is also that of all later connections,
   * unless the server refuses it: with an `UnauthorizedError`, or with a `ForbiddenError` where it is for something
   * else than the one before, and this client is in a room.
   * @param {string} token
   * @returns {Promise<void>}
   */
  async authenticate(token) {
    const before = this.options.token;
    // A connection that is lost meanwhile comes back with the new one.
    this.options.token = token;
    try {
      await this._ask({ type: "auth", token }, "authenticated");
    } catch (error) {
      const isRefused = [UnauthorizedError, ForbiddenError, MessageTooLongError].some((Kind) => error instanceof Kind);
      if (isRefused && this.options.token === token) this.options.token = before;
      throw error;
    }
  }

  /** End everything, for good. */
  close() {
    this.disconnect();
  }

  /** @protected @returns {RTCPeerConnection} */
  _newPeerConnection() {
    const PeerConnection = this.options.RTCPeerConnection ?? globalThis.RTCPeerConnection;
    return new PeerConnection({ iceServers: this.iceServers });
  }
}
