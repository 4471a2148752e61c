/**
 * A stream of what a generator makes, `highWaterMark` items ahead of the reader; with 0 each is made only when it
 * is asked for. `onCancel` is told first when the reader gives up, so that an item that is being waited for is
 * not waited for any longer.
 */
export function streamOf<T>(
  items: AsyncGenerator<T>,
  highWaterMark: number,
  onCancel?: (reason: unknown) => void,
): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { value, done } = await items.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        onCancel?.(reason);
        await items.return(undefined);
      },
    },
    { highWaterMark },
  );
}
