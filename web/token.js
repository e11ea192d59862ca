const KEY = "cctvsignal:token";

/**
 * The token of this tab. A link brings it behind `#token=`, which browsers send to no server; it leaves the
 * address at once, so that it is not passed on with the address.
 * @returns {string | undefined}
 */
export function token() {
  const inAddress = new URLSearchParams(location.hash.slice(1)).get("token");
  if (inAddress) {
    rememberToken(inAddress);
    history.replaceState(null, "", location.pathname + location.search);
  }
  try {
    return inAddress ?? sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return inAddress ?? undefined;
  }
}

/** @param {string} value */
export function rememberToken(value) {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // A browser that keeps nothing asks again.
  }
}
