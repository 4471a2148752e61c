import type { ByteWriter } from './byte-writer.ts';
import type { Template } from './generated-templates.ts';

/** What of a template an answer shows. */
export interface Shown {
  readonly payload: boolean;
  /** A bit for each entry, or NO_VECTORS where none were asked for. */
  readonly entries: number;
  /** The bit of the unnamed vector, 0 where there is none: alone it is shown bare. */
  readonly unnamed: number;
}

export const NO_VECTORS = -1;

const JSON_VECTOR = Buffer.from(',"vector":');
const JSON_VECTORS = Buffer.from(',"vector":{');
const CLOSING_BRACE = 0x7d;

/** `,"payload":{…},"vector":…`, each where it is shown. */
export function writeJsonBody(out: ByteWriter, template: Template, shown: Shown, serial: number): void {
  const { entries, payload } = shown;
  if (payload) copyPayload(out, template, serial);
  if (entries === NO_VECTORS) return;
  if (isBare(shown)) {
    out.append(JSON_VECTOR);
    copyPart(out, template, template.bareAt, bareEnd(template, shown));
    return;
  }
  out.append(JSON_VECTORS);
  // Every entry begins with a comma.
  copyEntries(out, template, entries, 1);
  out.byte(CLOSING_BRACE);
}

/** Tags of RetrievedPoint.vectors (4), and of VectorsOutput's vector (1) and vectors (2). */
const VECTORS = 0x22;
const BARE = 0x0a;
const NAMED = 0x12;

/** Fields 2 and 4 of RetrievedPoint, each where it is shown: protoBodySize() bytes. */
export function writeProtoBody(out: ByteWriter, template: Template, shown: Shown, serial: number): void {
  const { entries, payload } = shown;
  if (payload) copyPayload(out, template, serial);
  if (entries === NO_VECTORS) return;
  out.byte(VECTORS);
  if (isBare(shown)) {
    const end = bareEnd(template, shown);
    out.varint(1 + end - template.bareAt);
    out.byte(BARE);
    copyPart(out, template, template.bareAt, end);
    return;
  }
  const size = entriesSize(template, entries);
  out.varint(1 + varintSize(size) + size);
  out.byte(NAMED);
  out.varint(size);
  copyEntries(out, template, entries, 0);
}

export function protoBodySize(template: Template, shown: Shown): number {
  const { entries, payload } = shown;
  const before = payload ? (template.ends[0] as number) : 0;
  if (entries === NO_VECTORS) return before;
  let content: number;
  if (isBare(shown)) content = 1 + bareEnd(template, shown) - template.bareAt;
  else {
    const size = entriesSize(template, entries);
    content = 1 + varintSize(size) + size;
  }
  return before + 1 + varintSize(content) + content;
}

export function varintSize(value: number): number {
  let size = 1;
  for (let bound = 128; value >= bound; bound *= 128) size++;
  return size;
}

function isBare({ entries, unnamed }: Shown): boolean {
  return unnamed !== 0 && entries === unnamed;
}

function bareEnd({ ends }: Template, { unnamed }: Shown): number {
  return ends[32 - Math.clz32(unnamed)] as number;
}

function entriesSize({ ends }: Template, entries: number): number {
  let size = 0;
  for (let at = 0; at < ends.length - 1; at++) {
    if ((entries >> at) & 1) size += (ends[at + 1] as number) - (ends[at] as number);
  }
  return size;
}

/** Copies the entries, neighbours in one go, without the first `skip` bytes of them all. */
function copyEntries(out: ByteWriter, template: Template, entries: number, skip: number): void {
  const { ends } = template;
  let left = skip;
  for (let at = 0; at < ends.length - 1; at++) {
    if (((entries >> at) & 1) === 0) continue;
    const start = ends[at] as number;
    while (at + 2 < ends.length && (entries >> (at + 1)) & 1) at++;
    copyPart(out, template, start + left, ends[at + 1] as number);
    left = 0;
  }
}

function copyPart(out: ByteWriter, { bytes }: Template, from: number, to: number): void {
  bytes.copy(out.reserve(to - from), out.length, from, to);
  out.length += to - from;
}

function copyPayload(out: ByteWriter, template: Template, serial: number): void {
  const { ends, serialAt } = template;
  const start = out.length;
  copyPart(out, template, 0, ends[0] as number);
  if (serialAt >= 0) writeSerial(out.bytes, start + serialAt, serial);
}

const DIGIT_0 = 0x30;

/** Twelve digits; the placeholder's leading zeros stay. */
function writeSerial(target: Buffer, start: number, serial: number): void {
  let rest = serial;
  for (let at = start + 11; rest > 0; at--) {
    const tenth = Math.floor(rest / 10);
    target[at] = DIGIT_0 + rest - tenth * 10;
    rest = tenth;
  }
}
