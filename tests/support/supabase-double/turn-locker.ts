import type { Lock, Locker } from '@tus/server';

/** One holder for each upload, the others in the order they came: the engine's own locker polls without a rest. */
export class TurnLocker implements Locker {
  readonly #queues = new Map<string, Turn[]>();

  newLock(id: string): Lock {
    let turn: Turn | undefined;
    return {
      lock: (signal, cancelRequest) => {
        const queue = this.#queues.get(id) ?? [];
        this.#queues.set(id, queue);
        const { promise, resolve } = Promise.withResolvers<void>();
        turn = { start: resolve, askToEnd: cancelRequest };
        queue.push(turn);
        if (queue.length === 1) resolve();
        // The holder is told to come to an end within the engine's drain time.
        else queue[0]?.askToEnd();
        signal.addEventListener('abort', () => resolve(), { once: true });
        return promise;
      },
      unlock: async () => {
        const queue = this.#queues.get(id) ?? [];
        const at = queue.indexOf(turn as Turn);
        queue.splice(at, 1);
        if (queue.length === 0) this.#queues.delete(id);
        else if (at === 0) queue[0]?.start();
      },
    };
  }
}

interface Turn {
  readonly start: () => void;
  readonly askToEnd: () => void | Promise<void>;
}
