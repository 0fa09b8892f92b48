// The browser's camera, and what goes wrong with it in words.

/**
 * Shows the camera in a <video> and returns when its first frame is there. Throws a DOMException or an Error.
 * Where `isWanted()` says no by the time the camera may be used, it is switched off again.
 */
export async function openCamera(video, isWanted = () => true, { device = "", facing = "user" } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("insecure");
  const which = device ? { deviceId: { exact: device } } : { facingMode: facing };
  const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, ...which };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: wanted });
  if (!isWanted()) return stream.getTracks().forEach((track) => track.stop());
  video.srcObject = stream;
  await video.play();
}

/** Returns the cameras, [{deviceId, label}]; they have names once one may be used. */
export async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput");
}

const WORDS = {
  NotAllowedError: "The camera was not allowed. Click the camera sign beside the address, allow it, and start again.",
  NotFoundError: "No camera was found. Connect one, and start again; or upload a picture instead.",
  OverconstrainedError: "No camera was found that fits. Connect another one, and start again.",
  NotReadableError: "The camera is in use by another program, or switched off. Close that program, and start again.",
  AbortError: "The camera stopped while it was starting. Start it again.",
};

/** Returns a sentence that says what is wrong and what to do. */
export function problemOf(error) {
  if (error.message === "insecure")
    return "This browser gives the camera to pages under https:// or on localhost only. Open this page there.";
  return (
    WORDS[error.name] ??
    `The camera could not be started (${error.message || error.name}). Reload the page, and try again.`
  );
}
