import { isUtf8 } from 'node:buffer';
import type { PointBatch } from '../batch.ts';
import { ToolError } from '../errors.ts';
import type { PointId } from '../model.ts';
import { readId } from './json-id.ts';
import { damaged, JsonCursor } from './json-scan.ts';
import { RestRows, tooMany } from './rest-rows.ts';
import type { IdPage } from './transport.ts';

/*
 * The three answers an export reads in bulk, from bytes into columns, without JSON.parse: that would box every
 * float and lose integers above 2^53. Shapes: Qdrant's OpenAPI, ScrollResult and Record
 * (https://api.qdrant.tech/api-reference/points/scroll-points, …/get-points). Members come in any order;
 * unknown ones are skipped.
 */

/** Reads a scroll's ids (`limit` at most) and the next page's offset. */
export function readIdPage(answer: Uint8Array, limit: number): IdPage {
  const ids: PointId[] = [];
  const next = readPage(answer, (from) => {
    if (ids.length === limit) throw tooMany(limit);
    ids.push(readPoint(from, undefined));
  });
  return { ids, next };
}

/**
 * Appends a scroll's points, `limit` at most, and returns the next page's offset. On any error `into` is as it
 * was, and a batch never holds a part of the answer.
 */
export function readScrolled(answer: Uint8Array, into: PointBatch, limit: number): PointId | undefined {
  return wholly(into, () => {
    const rows = new RestRows(into, limit);
    return readPage(answer, (from) => readPoint(from, rows));
  });
}

/** The same for a retrieve of `asked` ids. */
export function readRetrieved(answer: Uint8Array, into: PointBatch, asked: number): void {
  wholly(into, () => {
    const rows = new RestRows(into, asked);
    readResult(answer, (from) => readElements(from, (element) => readPoint(element, rows)));
  });
}

/** Runs `read`; takes back what it appended if it throws, or if payloads turn out not to be UTF-8. */
function wholly<T>(into: PointBatch, read: () => T): T {
  const rows = into.rowCount;
  const start = into.payload.length;
  try {
    const result = read();
    // Once for all rows: strings are copied as they are, and a file may hold nothing but UTF-8 text.
    if (!isUtf8(into.payload.bytes.subarray(start, into.payload.length))) {
      throw new ToolError('qdrant', 'the answer is damaged: a payload is not UTF-8');
    }
    return result;
  } catch (error) {
    into.truncate(rows);
    throw error;
  }
}

/** `{"result": …, "status": "ok", "time": …}` */
function readResult(answer: Uint8Array, read: (from: JsonCursor) => void): void {
  const from = new JsonCursor(answer);
  let seen = false;
  for (let more = from.enterObject(); more; more = from.nextMember()) {
    if (from.memberName() !== 'result') from.skipValue();
    else {
      if (seen) throw damaged('it has two results');
      seen = true;
      read(from);
    }
  }
  from.expectEnd();
  if (!seen) throw damaged('it has no result');
}

/** `{"points": […], "next_page_offset": id or null}` */
function readPage(answer: Uint8Array, readElement: (from: JsonCursor) => void): PointId | undefined {
  let next: PointId | undefined;
  let seen = 0;
  readResult(answer, (from) => {
    for (let more = from.enterObject(); more; more = from.nextMember()) {
      const name = from.memberName();
      if (name === 'points') {
        seen++;
        readElements(from, readElement);
      } else if (name === 'next_page_offset') {
        if (!from.skipNull()) next = readId(from);
      } else from.skipValue();
    }
  });
  if (seen !== 1) throw damaged('it has no list of points');
  return next;
}

function readElements(from: JsonCursor, readElement: (from: JsonCursor) => void): void {
  for (let more = from.enterArray(); more; more = from.nextElement()) readElement(from);
}

/** The point at the cursor into the next row, or only its id when there is no row to fill. */
function readPoint(from: JsonCursor, rows: RestRows | undefined): PointId {
  rows?.begin();
  let id: PointId | undefined;
  let members = 0;
  for (let more = from.enterObject(); more; more = from.nextMember()) {
    const bit = memberBit(from);
    if ((members & bit) !== 0) throw damaged('a point has the same member twice');
    members |= bit;
    if (bit === ID) id = readId(from);
    else if (bit === PAYLOAD && rows !== undefined) rows.payload(from);
    else if (bit === VECTOR && rows !== undefined) rows.vector(from);
    else from.skipValue();
  }
  if (id === undefined) throw damaged('a point has no id');
  if (rows !== undefined) rows.end(id, (members & PAYLOAD) !== 0);
  return id;
}

const ID = 1;
const PAYLOAD = 2;
const VECTOR = 4;

/** Which member's name is at the cursor (0: none that is wanted), without a string for the usual spelling. */
function memberBit(from: JsonCursor): number {
  for (const [bit, quoted] of MEMBERS) if (from.takeName(quoted)) return bit;
  const name = from.memberName();
  return MEMBERS.find(([, quoted]) => JSON.stringify(name) === quoted.toString())?.[0] ?? 0;
}

/** The last one comes with every point under custom sharding. */
const MEMBERS: readonly (readonly [number, Buffer])[] = [
  [ID, Buffer.from('"id"')],
  [PAYLOAD, Buffer.from('"payload"')],
  [VECTOR, Buffer.from('"vector"')],
  [0, Buffer.from('"shard_key"')],
];
