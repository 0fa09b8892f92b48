// The static site: has the browser keep all of it, once the models are there; earlier they would be fetched twice.
if (navigator.serviceWorker) addEventListener("deviceready", () => navigator.serviceWorker.register("sw.js"));
