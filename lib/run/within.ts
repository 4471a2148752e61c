/** Waits for the promise, but so many milliseconds at most; does not reject. What takes longer goes on unheard. */
export async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, ms);
  const settled = promise.then(
    () => {},
    () => {},
  );
  await Promise.race([settled, limit.promise]);
  clearTimeout(timer);
}
