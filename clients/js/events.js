/**
 * An `EventTarget` whose listeners can also be added by `on`, and then get the event's detail alone.
 * @template [Events=Record<string, any>] the detail of each type of event
 */
export class Emitter extends EventTarget {
  /** @type {Map<string, Map<Function, EventListener>>} */
  #wrappers = new Map();

  /**
   * Call `callback` with the detail each time the event happens. Adding it twice is adding it once.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} callback
   * @returns {this}
   */
  on(type, callback) {
    this.addEventListener(type, this.#wrap(type, callback));
    return this;
  }

  /**
   * Call `callback` the next time the event happens, and not again.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} callback
   * @returns {this}
   */
  once(type, callback) {
    this.addEventListener(type, this.#wrap(type, callback), { once: true });
    return this;
  }

  /**
   * Call `callback` no longer.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} callback
   * @returns {this}
   */
  off(type, callback) {
    this.removeEventListener(type, this.#wrap(type, callback));
    this.#wrappers.get(type)?.delete(callback);
    return this;
  }

  /**
   * @protected
   * @param {string} type
   * @param {unknown} [detail]
   */
  _emit(type, detail) {
    // Node 18 has no CustomEvent.
    this.dispatchEvent(Object.assign(new Event(type), { detail }));
  }

  /**
   * @param {string} type
   * @param {(detail: any) => void} callback
   * @returns {EventListener}
   */
  #wrap(type, callback) {
    const ofType = this.#wrappers.get(type) ?? new Map();
    this.#wrappers.set(type, ofType);
    const wrapper = ofType.get(callback) ?? ((/** @type {any} */ event) => callback(event.detail));
    ofType.set(callback, wrapper);
    return wrapper;
  }
}
