// The service worker of the static site: keeps all files at the first visit, so that it works without a network.
// NAME and FILES stand before this, in sw.js; another content is another NAME.
const prefix = `fer ${self.registration.scope} `;
const kept = caches.open(prefix + NAME);

addEventListener("install", (event) => {
  event.waitUntil(kept.then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await kept;
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

async function forgetOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(prefix) && name !== prefix + NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}
