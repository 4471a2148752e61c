import type { Selection } from './collection.ts';
import type { Fault, Faults, Method, Protocol, RequestFacts } from './fault.ts';
import type { Asked, RequestRecord } from './request-record.ts';

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

/** As many of the last requests are kept. */
export const KEPT_REQUESTS = 1000;

/** Something that happens just before a request is answered. */
interface Appointment {
  /** How many more of the requests that are meant are answered before. */
  left: number;
  readonly isMeant: (request: RequestFacts) => boolean;
  readonly act: () => void;
}

/** Keeps the counters and the last requests, and asks for faults. */
export class Recorder {
  readonly requests: RequestRecord[] = [];
  readonly #appointments = new Set<Appointment>();
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

  /** Acts when so many of the requests that are meant have come, before the next of them is answered. */
  actAfter(count: number, isMeant: (request: RequestFacts) => boolean, act: () => void): void {
    this.#appointments.add({ left: count, isMeant, act });
  }

  /** Counts a request in. */
  begin(
    asked: Omit<RequestFacts, 'index'>,
    details: Asked & { readonly routeAffinity?: string } = {},
  ): RunningRequest {
    const facts = { ...asked, index: this.#index++ };
    this.requests.push({ ...facts, ...details });
    if (this.requests.length > KEPT_REQUESTS) this.requests.shift();
    const failure = this.#keepAppointments(facts);
    const { stats } = this;
    const { method, protocol } = facts;
    stats.requests[method]++;
    (stats.requestsByProtocol as Record<Protocol, number>)[protocol]++;
    stats.maxInFlight = Math.max(stats.maxInFlight, ++stats.inFlight);
    const isRetrieve = method === 'retrieve';
    if (isRetrieve) {
      stats.maxRetrievesInFlight = Math.max(stats.maxRetrievesInFlight, ++stats.retrievesInFlight);
    }
    const fault = failure ?? this.faults?.(facts);
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

  /** Counts an answer's points out. */
  sent(points: number, isScroll: boolean, { payload, vectors }: Selection): void {
    this.stats.pointsSent += points;
    if (isScroll && payload === false && vectors === false) this.stats.idPages++;
  }

  /** What was due and failed is this request's answer. */
  #keepAppointments(facts: RequestFacts): Fault | undefined {
    let failure: Fault | undefined;
    for (const appointment of this.#appointments) {
      if (!appointment.isMeant(facts) || appointment.left-- > 0) continue;
      this.#appointments.delete(appointment);
      try {
        appointment.act();
      } catch (error) {
        failure = { kind: 'status', http: 500, grpc: 13, message: (error as Error).message };
      }
    }
    return failure;
  }
}

export interface RunningRequest {
  readonly fault: ReturnType<Faults>;
  /** Counts the request out; more than once does no harm. */
  end(): void;
}
