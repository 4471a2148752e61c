/**
 * Gives the memory of a buffer back at once, where the buffer is all that its memory holds. The collector only
 * sees a small object and lets hundreds of megabytes of such buffers pile up before it runs; detaching a
 * buffer frees them at no cost. Nobody may look at the buffer any more.
 */
export function freeNow(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength) buffer.transfer(0);
}
