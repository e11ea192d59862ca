// Only over https:// and on localhost are there service workers; without one, everything works as well, only
// that the browser's own page says that the server cannot be reached.
navigator.serviceWorker?.register("service-worker.js").catch(() => {});
