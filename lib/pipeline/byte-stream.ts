/**
 * A stream of a generator's chunks, each made only when it is asked for: highWaterMark 0. `onCancel` is told
 * first when the reader gives up, so that a chunk that is being waited for is not waited for any longer.
 */
export function byteStream(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  onCancel: (reason: unknown) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { value, done } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        onCancel(reason);
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
