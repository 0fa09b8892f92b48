// Takes frames from a playing <video> as JPEG, each with the canvas that it can be shown from.
const QUALITY = 0.85;

export class Frames {
  #video;
  #canvases = [0, 1, 2].map(() => document.createElement("canvas"));
  #place = 0;

  constructor(video) {
    this.#video = video;
  }

  /** Returns {canvas, blob} of the next new frame. The canvas stays as it is while two more are taken. */
  async take() {
    await this.#newFrame();
    const canvas = this.#canvases[this.#place];
    this.#place = (this.#place + 1) % this.#canvases.length;
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    // The picture is read back for the JPEG, so it is best kept in main memory.
    canvas.getContext("2d", { alpha: false, willReadFrequently: true }).drawImage(this.#video, 0, 0);
    return { canvas, blob: await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY)) };
  }

  #newFrame() {
    return new Promise((resolve) => {
      if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
  }
}
