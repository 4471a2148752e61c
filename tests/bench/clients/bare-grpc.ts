/*
 * A client that does nothing with what it gets: retrieves every point over bare HTTP/2 and discards the bytes.
 * Arguments: address, points.
 */
import http2 from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { GetPointsSchema } from '@qdrant/js-client-grpc';
import { numberAt } from '../../support/qdrant-double/generated-id.ts';

const [address = '', points = '0'] = process.argv.slice(2);
const BATCH = 500;
const IN_FLIGHT = 4;

const session = http2.connect(address, { settings: { enablePush: false, initialWindowSize: 16 << 20 } });
await new Promise((resolve) => session.once('remoteSettings', resolve));
session.setLocalWindowSize(64 << 20);

let next = 0;
let bytes = 0;

async function retrieve(from: number, to: number): Promise<void> {
  const ids = Array.from({ length: to - from }, (_, i) => ({
    pointIdOptions: { case: 'num' as const, value: BigInt(numberAt(from + i)) },
  }));
  const message = toBinary(
    GetPointsSchema,
    create(GetPointsSchema, {
      collectionName: 'bench',
      ids,
      withPayload: { selectorOptions: { case: 'enable', value: true } },
      withVectors: { selectorOptions: { case: 'enable', value: true } },
    }),
  );
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/qdrant.Points/Get',
    te: 'trailers',
    'content-type': 'application/grpc',
  });
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.end(Buffer.concat([prefix, message]));
  await new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
}

async function worker(): Promise<void> {
  while (next < Number(points)) {
    const from = next;
    next = Math.min(Number(points), from + BATCH);
    await retrieve(from, next);
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
session.destroy();
console.log(JSON.stringify({ bytes }));
