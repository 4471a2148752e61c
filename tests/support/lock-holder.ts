/**
 * A process that takes a lock when it is told to: says `ready`, waits for a line, then says `held`, or what the error
 * says. Holds it until its stdin ends, then gives it back.
 */
import { takeLock } from '../../lib/storage/disk/lock.ts';

const lines = console[Symbol.asyncIterator]();
console.log('ready');
await lines.next();
try {
  const lock = await takeLock(process.argv[2] ?? '', 'Collection "books"');
  console.log('held');
  await lines.next();
  await lock.release();
  console.log('released');
} catch (error) {
  console.log((error as Error).message);
}
process.exit();
