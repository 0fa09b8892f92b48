// Takes frames from a playing <video>, each with the canvas that it can be shown from.
const QUALITY = 0.85;

export class Frames {
  #video;
  #canvases = [0, 1, 2].map(() => document.createElement("canvas"));
  #place = 0;

  constructor(video) {
    this.#video = video;
  }

  /**
   * Returns {canvas} of the next new frame, with its `pixels` (an ImageData) for this device, or as a JPEG (`blob`) for
   * the server. The canvas stays as it is while two more are taken.
   */
  async take(isForServer) {
    await this.#newFrame();
    const canvas = this.#canvases[this.#place];
    this.#place = (this.#place + 1) % this.#canvases.length;
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    // The picture is read back, so it is best kept in main memory.
    const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    pen.drawImage(this.#video, 0, 0);
    if (!isForServer) return { canvas, pixels: pen.getImageData(0, 0, width, height) };
    return { canvas, blob: await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY)) };
  }

  #newFrame() {
    return new Promise((resolve) => {
      if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
  }
}
