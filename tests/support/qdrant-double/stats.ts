import type { Faults, Method, Protocol, RequestFacts } from './fault.ts';

/** What a double has done so far; a live object. */
export interface Stats {
  readonly requests: Readonly<Record<Method, number>>;
  readonly requestsByProtocol: Readonly<Record<Protocol, number>>;
  /** Points written into answers, whether or not they arrived. */
  readonly pointsSent: number;
  /** Scrolls that asked for neither payloads nor vectors. */
  readonly idPages: number;
  /** Requests whose answer is not fully handed over yet, and their highest number. */
  readonly inFlight: number;
  readonly maxInFlight: number;
  /** The same of retrieves alone. */
  readonly retrievesInFlight: number;
  readonly maxRetrievesInFlight: number;
  /** Bytes of bodies and messages, without headers. */
  readonly bytesSent: number;
  readonly faults: number;
  readonly connections: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Keeps the counters and asks for faults. */
export class Recorder {
  readonly stats: Mutable<Stats> & { requests: Record<Method, number> } = {
    requests: {
      scroll: 0,
      retrieve: 0,
      count: 0,
      describe: 0,
      exists: 0,
      list: 0,
      aliases: 0,
      shardKeys: 0,
      cluster: 0,
      version: 0,
      health: 0,
      delete: 0,
      other: 0,
    },
    requestsByProtocol: { grpc: 0, rest: 0 },
    pointsSent: 0,
    idPages: 0,
    inFlight: 0,
    maxInFlight: 0,
    retrievesInFlight: 0,
    maxRetrievesInFlight: 0,
    bytesSent: 0,
    faults: 0,
    connections: 0,
  };
  faults: Faults | undefined;
  #index = 0;

  /** Counts a request in. */
  begin(facts: Omit<RequestFacts, 'index'>): RunningRequest {
    const { stats } = this;
    const { method, protocol } = facts;
    stats.requests[method]++;
    (stats.requestsByProtocol as Record<Protocol, number>)[protocol]++;
    stats.maxInFlight = Math.max(stats.maxInFlight, ++stats.inFlight);
    const isRetrieve = method === 'retrieve';
    if (isRetrieve) {
      stats.maxRetrievesInFlight = Math.max(stats.maxRetrievesInFlight, ++stats.retrievesInFlight);
    }
    const fault = this.faults?.({ ...facts, index: this.#index });
    this.#index++;
    if (fault !== undefined) stats.faults++;
    let ended = false;
    return {
      fault,
      end: () => {
        if (ended) return;
        ended = true;
        stats.inFlight--;
        if (isRetrieve) stats.retrievesInFlight--;
      },
    };
  }
}

export interface RunningRequest {
  readonly fault: ReturnType<Faults>;
  /** Counts the request out; more than once does no harm. */
  end(): void;
}
