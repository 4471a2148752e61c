/*
 * A client that does nothing with what it gets: retrieves every point over REST, uncompressed, and discards the
 * bytes. Arguments: address, points.
 */
import { numberAt } from '../../support/qdrant-double/generated-id.ts';

const [address = '', points = '0'] = process.argv.slice(2);
const BATCH = 250;
const IN_FLIGHT = 4;

let next = 0;
let bytes = 0;

async function worker(): Promise<void> {
  while (next < Number(points)) {
    const from = next;
    next = Math.min(Number(points), from + BATCH);
    const ids = Array.from({ length: next - from }, (_, i) => numberAt(from + i));
    const answer = await fetch(`${address}/collections/bench/points`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
      body: JSON.stringify({ ids, with_payload: true, with_vector: true }),
    });
    if (!answer.ok || answer.body === null) throw new Error(`status ${answer.status}`);
    for await (const chunk of answer.body) bytes += chunk.length;
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
console.log(JSON.stringify({ bytes }));
