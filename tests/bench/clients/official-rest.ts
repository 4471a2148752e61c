/* The official REST client, its answers decoded and then dropped. Arguments: address, points. */
import { QdrantClient } from '@qdrant/js-client-rest';
import { numberAt } from '../../support/qdrant-double/generated-id.ts';

const [address = '', points = '0'] = process.argv.slice(2);
const BATCH = 250;
const IN_FLIGHT = 4;

const client = new QdrantClient({ url: address, checkCompatibility: false });
let next = 0;
let rows = 0;

async function worker(): Promise<void> {
  while (next < Number(points)) {
    const from = next;
    next = Math.min(Number(points), from + BATCH);
    const ids = Array.from({ length: next - from }, (_, i) => numberAt(from + i));
    const answer = await client.retrieve('bench', { ids, with_payload: true, with_vector: true });
    rows += answer.length;
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
if (rows !== Number(points)) throw new Error(`${rows} rows`);
