/*
 * The official gRPC client without compression, its answers decoded and then dropped. Arguments: address,
 * points.
 */
import { QdrantClient } from '@qdrant/js-client-grpc';
import { numberAt } from '../../support/qdrant-double/generated-id.ts';

const [address = '', points = '0'] = process.argv.slice(2);
const BATCH = 500;
const IN_FLIGHT = 4;

const client = new QdrantClient({ url: address, compression: false, checkCompatibility: false });
let next = 0;
let rows = 0;

async function worker(): Promise<void> {
  while (next < Number(points)) {
    const from = next;
    next = Math.min(Number(points), from + BATCH);
    const ids = Array.from({ length: next - from }, (_, i) => ({
      pointIdOptions: { case: 'num' as const, value: BigInt(numberAt(from + i)) },
    }));
    const answer = await client.api('points').get({
      collectionName: 'bench',
      ids,
      withPayload: { selectorOptions: { case: 'enable', value: true } },
      withVectors: { selectorOptions: { case: 'enable', value: true } },
    });
    rows += answer.result.length;
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
if (rows !== Number(points)) throw new Error(`${rows} rows`);
process.exit(0);
