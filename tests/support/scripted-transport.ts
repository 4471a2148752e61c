import type { Transport } from '../../lib/qdrant/transport.ts';

/** A transport of which a test says only what it needs; anything else that is called fails the test. */
export function scriptedTransport(methods: Partial<Transport>): Transport {
  const unexpected = (name: string) => () => Promise.reject(new Error(`${name} was not expected`));
  return {
    protocol: 'grpc',
    collections: unexpected('collections'),
    describe: unexpected('describe'),
    count: unexpected('count'),
    scrollIds: unexpected('scrollIds'),
    retrieve: unexpected('retrieve'),
    scroll: unexpected('scroll'),
    close: () => {},
    ...methods,
  };
}
