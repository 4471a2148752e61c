import { parseArgs } from 'node:util';
import { startSupabaseDouble } from './supabase-double.ts';

/**
 * The double in a process of its own: prints its addresses and keys as one line of JSON, and ends with SIGTERM, or when
 * its standard input does (so that it never outlives who started it).
 *
 * bun tests/support/supabase-double/serve.ts [--keep-files memory|disk] [--backend file|s3] [--no-s3] [--port N]
 */
const { values } = parseArgs({
  options: {
    'keep-files': { type: 'string', default: 'disk' },
    backend: { type: 'string', default: 's3' },
    'no-s3': { type: 'boolean', default: false },
    port: { type: 'string', default: '0' },
  },
});
const double = await startSupabaseDouble({
  keepFiles: values['keep-files'] === 'memory' ? 'memory' : 'disk',
  backend: values.backend === 'file' ? 'file' : 's3',
  s3: !values['no-s3'],
  port: Number(values.port),
  keepsRequests: false,
});
const { url, projectRef, bucket, keys, s3 } = double;
console.log(JSON.stringify({ url, projectRef, bucket, keys, s3 }));

const { promise: ended, resolve: end } = Promise.withResolvers<void>();
process.once('SIGTERM', end);
process.once('SIGINT', end);
process.stdin.once('end', end);
process.stdin.once('error', end);
process.stdin.resume();
await ended;
await double.stop();
process.exit(0);
