import type { VectorSpec } from '../../../lib/model.ts';

interface Field {
  readonly number: number;
  readonly wire: number;
  /** Of a varint. */
  readonly value: bigint;
  /** Of anything else. */
  readonly content: Buffer;
}

/** The fields of a message, one object each; throws where its bytes are none. */
function fieldsOf(bytes: Buffer): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  function varint(): bigint {
    for (let value = 0n, shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new RangeError('a varint of more than 10 bytes');
  }
  while (at < bytes.length) {
    const tag = Number(varint());
    const wire = tag % 8;
    const value = wire === 0 || wire === 2 ? varint() : 0n;
    const length = { 0: 0, 1: 8, 2: Number(value), 5: 4 }[wire];
    if (length === undefined || at + length > bytes.length) throw new RangeError('no field');
    fields.push({ number: (tag - wire) / 8, wire, value, content: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

function messages(bytes: Buffer, number: number): readonly Buffer[] {
  return fieldsOf(bytes)
    .filter((field) => field.number === number && field.wire === 2)
    .map(({ content }) => content);
}

/**
 * What an answer to GetPoints or ScrollPoints says of ids and vectors, read in the plainest way: by number and wire
 * type, singular fields by their last occurrence. Throws where it is no such answer.
 */
export function plainRows(kind: 'get' | 'scroll', message: Buffer, specs: readonly VectorSpec[]) {
  return messages(message, kind === 'get' ? 1 : 2).map((point) => {
    const found = new Map<string, Buffer>();
    for (const vectors of messages(point, 4)) {
      for (const output of messages(vectors, 1)) found.set('', output);
      for (const map of messages(vectors, 2)) {
        for (const entry of messages(map, 1)) {
          const name = messages(entry, 1).at(-1)?.toString() ?? '';
          found.set(name, messages(entry, 2).at(-1) ?? Buffer.alloc(0));
        }
      }
    }
    const vectors = specs.map((spec) => {
      const output = found.get(spec.name);
      return [spec.name, output === undefined ? null : vectorIn(output, spec)] as const;
    });
    return { id: idIn(messages(point, 1).at(-1) as Buffer), vectors: Object.fromEntries(vectors) };
  });
}

function idIn(message: Buffer): string {
  const ids = fieldsOf(message).flatMap(({ number, wire, value, content }) => {
    if (number === 1 && wire === 0) return [String(value)];
    return number === 2 && wire === 2 ? [content.toString()] : [];
  });
  return ids.at(-1) as string;
}

function vectorIn(output: Buffer, { kind, size }: VectorSpec) {
  const [dense, sparse, multi] = [101, 102, 103].map((number) => messages(output, number).at(-1));
  switch (kind) {
    case 'dense':
      return floatsIn(dense ?? output);
    case 'multi': {
      if (multi !== undefined) return messages(multi, 1).map(floatsIn);
      const flat = floatsIn(output);
      return Array.from({ length: flat.length / size }, (_, row) => flat.slice(row * size, (row + 1) * size));
    }
    case 'sparse':
      return sparse === undefined
        ? {
            indices: messages(output, 2).flatMap((indices) => numbersIn(indices, 1)),
            values: floatsIn(output),
          }
        : { indices: numbersIn(sparse, 2), values: floatsIn(sparse) };
  }
}

function floatsIn(message: Buffer): readonly number[] {
  return fieldsOf(message).flatMap(({ number, wire, content }) => {
    if (number !== 1 || (wire !== 2 && wire !== 5)) return [];
    return Array.from({ length: content.length / 4 }, (_, at) => content.readFloatLE(at * 4));
  });
}

function numbersIn(message: Buffer, number: number): readonly number[] {
  return fieldsOf(message).flatMap((field) => {
    if (field.number !== number) return [];
    if (field.wire === 0) return [Number(field.value)];
    // Packed: the same varints without tags, so each gets one.
    const tagged: number[] = [8];
    for (const byte of field.content) tagged.push(byte, ...(byte < 128 ? [8] : []));
    return fieldsOf(Buffer.from(tagged.slice(0, -1))).map(({ value }) => Number(value));
  });
}
