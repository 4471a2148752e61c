import type { UnitGate } from './unit-gate.ts';

/** Work that was begun, in the order of its input. */
export interface Started<T> {
  readonly result: Promise<T>;
}

/**
 * Begins `work` for up to `window` items ahead of the reader: the queue between the two holds begun work, so
 * its highWaterMark is the number of items in flight or waiting, and results come out in the order of the
 * input. One more is with the reader. A gate that work waits at may let in fewer.
 */
export function startAhead<In, Out>(
  items: ReadableStream<In>,
  window: number,
  work: (item: In) => Promise<Out>,
): ReadableStream<Started<Out>> {
  const stage = new TransformStream<In, Started<Out>>(
    {
      transform(item, controller) {
        const result = work(item);
        // Whoever reads it gets the rejection; until then it is not an unhandled one.
        result.catch(() => {});
        controller.enqueue({ result });
      },
    },
    { highWaterMark: 1 },
    { highWaterMark: window },
  );
  return items.pipeThrough(stage);
}

/** The results, one after the other; the gate hears that one is done with when the next is asked for. */
export async function* results<T>(started: ReadableStream<Started<T>>, gate: UnitGate): AsyncGenerator<T> {
  for await (const { result } of started) {
    yield await result;
    gate.leave();
  }
}
