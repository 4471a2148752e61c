import { seeded } from './batches.ts';
import { CHANCE, oneOf, type Random, type Weather } from './random-faults.ts';
import type { DoubleFault, DoubleRequest } from './supabase-double/supabase-double.ts';

export interface SupabaseStorm {
  readonly fault: (request: DoubleRequest) => DoubleFault | undefined;
  /** What went wrong, for the message of a test that failed. */
  readonly log: readonly StruckRequest[];
}

export interface StruckRequest {
  readonly request: string;
  readonly fault: DoubleFault;
}

/** Light weather is to be survived by any policy: the least patient one has three attempts. */
const LIGHT_IN_A_ROW = 2;
/** After so many faults heavy weather is over: pauses would grow to half a minute. */
const HEAVY_FAULTS = 12;
/** What is dead has served at most so many requests. */
const ALIVE = 30;

/** What happens whatever the dice say. */
export interface Certainty {
  /** Of the requests like this one (`PATCH /storage/v1/upload/…`), the answer to the one with that number is lost. */
  readonly lost: { readonly requests: RegExp; readonly number: number };
  /** A byte of the first object is turned on its way. */
  readonly flips: boolean;
}

/** Faults by dice at a double of Supabase Storage; dead weather is a key that is withdrawn in the middle of the run. */
export function supabaseStorm(seed: number, weather: Weather, certainty: Certainty): SupabaseStorm {
  const dice = seeded(seed);
  const log: StruckRequest[] = [];
  const diesAt = 1 + Math.floor(dice() * ALIVE);
  let inARow = 0;
  let hung = false;
  let alike = 0;
  let isLost = false;
  let isFlipped = !certainty.flips || weather === 'dead';

  function certainFault(request: DoubleRequest): DoubleFault | undefined {
    const bytes = Number(request.headers.get('content-length') ?? 0);
    if (!isFlipped && bytes > 0 && isOfObject(request)) {
      isFlipped = true;
      return { kind: 'flip', at: Math.floor(dice() * bytes) };
    }
    const { requests, number } = certainty.lost;
    if (isLost || !requests.test(textOf(request)) || ++alike < number) return undefined;
    isLost = true;
    return { kind: 'lost answer' };
  }

  function faultOf(request: DoubleRequest): DoubleFault | undefined {
    if (weather === 'dead' && request.number >= diesAt) return refusalOf(request);
    if (weather === 'light' && inARow >= LIGHT_IN_A_ROW) return undefined;
    const certain = certainFault(request);
    if (certain !== undefined) return certain;
    if (weather === 'heavy' && log.length >= HEAVY_FAULTS) return undefined;
    if (dice() >= CHANCE[weather]) return undefined;
    const fault = anyFault(dice, request, { mayFlip: weather !== 'dead', mayHang: !hung });
    if (fault.kind === 'hang') hung = true;
    return fault;
  }

  return {
    fault(request) {
      const fault = faultOf(request);
      inARow = fault === undefined ? 0 : inARow + 1;
      if (fault !== undefined) log.push({ request: textOf(request), fault });
      return fault;
    },
    log,
  };
}

function textOf({ method, path }: DoubleRequest): string {
  return `${method} ${path}`;
}

function anyFault(
  dice: Random,
  request: DoubleRequest,
  { mayFlip, mayHang }: { readonly mayFlip: boolean; readonly mayHang: boolean },
): DoubleFault {
  const { method } = request;
  const bytes = Number(request.headers.get('content-length') ?? 0);
  const when = (holds: boolean, weight: number) => (holds ? weight : 0);
  const at = Math.floor(dice() * bytes);
  const isData = bytes > 0 && isOfObject(request);
  return oneOf<DoubleFault>(dice, [
    [3, { kind: 'reset' }],
    [when(isData, 4), { kind: 'reset', afterBytes: at }],
    [4, { kind: 'lost answer' }],
    ...FAILURES.map((status) => [1, failureOf(request, status)] as const),
    [1, { ...failureOf(request, 429), retryAfter: '0' }],
    [when(isData && mayFlip, 3), { kind: 'flip', at }],
    [when(method === 'PATCH', 2), { kind: 'expired', status: dice() < 0.5 ? 404 : 410 }],
    // The one kind of request that the program waits 10 s for and no longer.
    [when(mayHang && method === 'DELETE' && doorOf(request) === 'resumable', 1), { kind: 'hang' }],
  ]);
}

const FAILURES = [500, 502, 503, 504] as const;

/** Bytes of an object: damage to them is damage to what is there afterwards. */
function isOfObject({ method, path }: DoubleRequest): boolean {
  if (method === 'PATCH' || method === 'PUT') return true;
  return method === 'POST' && path.startsWith('/storage/v1/object/') && !path.includes('/list');
}

type Door = 'resumable' | 's3' | 'rest';

function doorOf({ path }: DoubleRequest): Door {
  if (path.startsWith('/storage/v1/upload/resumable')) return 'resumable';
  return path.startsWith('/storage/v1/s3/') ? 's3' : 'rest';
}

type Status = DoubleFault & { readonly kind: 'status' };

function failureOf(request: DoubleRequest, status: number): Status {
  switch (status) {
    case 500:
      return answerOf(request, 500, 'InternalError', 'Internal Server Error');
    case 503:
      return answerOf(request, 503, 'SlowDown', 'Please reduce your request rate.');
    default:
      // Of the gateway, whatever the door.
      return { kind: 'status', status, body: '<html><body><h1>Try again</h1></body></html>' };
  }
}

function refusalOf(request: DoubleRequest): Status {
  return answerOf(request, 403, 'AccessDenied', 'new row violates row-level security policy');
}

/** In the form of the door: nearly all of REST comes with 400. */
function answerOf(request: DoubleRequest, status: number, code: string, message: string): Status {
  switch (doorOf(request)) {
    case 'resumable':
      return { kind: 'status', status, body: message };
    case 's3':
      return {
        kind: 'status',
        status,
        body: `<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
      };
    case 'rest':
      return {
        kind: 'status',
        status: status < 500 ? 400 : status,
        body: JSON.stringify({ statusCode: String(status), error: code, message, code }),
      };
  }
}
