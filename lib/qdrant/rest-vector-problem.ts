import { exactFloat32, numberEnd } from '../float-text.ts';
import type { VectorColumn } from '../vector-columns.ts';
import { OPEN_ARRAY, OPEN_OBJECT } from './json-bytes.ts';
import type { JsonCursor } from './json-scan.ts';

const LETTER_N = 0x6e;
const INDEX = /^(0|[1-9][0-9]*)$/;
const MAX_U32 = 0xffff_ffff;

/** serde_json, which Qdrant writes its answers with, spells NaN and the infinities null. */
const NOT_IN_JSON = 'with a number that REST cannot carry (NaN or infinite); use gRPC';

/**
 * Reads over a vector that readVector() refused and says what is wrong with it, in words that follow "point 7".
 * What is not even JSON is a ToolError, as everywhere.
 */
export function vectorProblem(from: JsonCursor, column: VectorColumn): string {
  const { name } = column.spec;
  return `has a ${name === '' ? 'vector' : `vector \`${name}\``} ${problemOf(from, column)}`;
}

function problemOf(from: JsonCursor, column: VectorColumn): string {
  const { size } = column.spec;
  switch (column.kind) {
    case 'dense':
      return floatsProblem(from, size) ?? 'that cannot be read';
    case 'multi':
      return multiProblem(from, size) ?? 'that cannot be read';
    case 'sparse':
      return sparseProblem(from) ?? 'that cannot be read';
  }
}

/** Undefined where the value is a list of `size` floats. */
function floatsProblem(from: JsonCursor, size: number): string | undefined {
  const { count, problem } = readOver(from, floatProblem);
  if (problem !== undefined || count === size) return problem;
  return `of ${count} dimensions where the collection declares ${size}`;
}

function multiProblem(from: JsonCursor, size: number): string | undefined {
  const wanted = 'that is not a list of vectors';
  if (from.peek() !== OPEN_ARRAY) {
    from.skipValue();
    return wanted;
  }
  let problem: string | undefined;
  for (let more = from.enterArray(); more; more = from.nextElement()) {
    const isList = from.peek() === OPEN_ARRAY;
    const found = floatsProblem(from, size);
    problem ??= isList ? found : wanted;
  }
  return problem;
}

function sparseProblem(from: JsonCursor): string | undefined {
  if (from.peek() !== OPEN_OBJECT) {
    from.skipValue();
    return 'that is not sparse: it has no indices and values';
  }
  let indices: number | undefined;
  let values: number | undefined;
  let problem: string | undefined;
  for (let more = from.enterObject(); more; more = from.nextMember()) {
    const name = from.memberName();
    if (name !== 'indices' && name !== 'values') {
      from.skipValue();
      continue;
    }
    const list = readOver(from, name === 'indices' ? indexProblem : floatProblem);
    problem ??= list.problem;
    if (name === 'indices') indices = list.count;
    else values = list.count;
  }
  if (problem !== undefined) return problem;
  if (indices === undefined || values === undefined) {
    return `without ${indices === undefined ? 'indices' : 'values'}`;
  }
  return indices === values ? undefined : `of ${indices} indices and ${values} values`;
}

/** Elements of a list and what is wrong with the first that is wrong. */
function readOver(
  from: JsonCursor,
  problemOfElement: (from: JsonCursor) => string | undefined,
): { readonly count: number; readonly problem: string | undefined } {
  if (from.peek() !== OPEN_ARRAY) {
    from.skipValue();
    return { count: 0, problem: 'that is not a list of numbers' };
  }
  let count = 0;
  let problem: string | undefined;
  for (let more = from.enterArray(); more; more = from.nextElement()) {
    from.peek();
    problem ??= problemOfElement(from);
    from.skipValue();
    count++;
  }
  return { count, problem };
}

function floatProblem({ bytes, at }: JsonCursor): string | undefined {
  if (bytes[at] === LETTER_N) return NOT_IN_JSON;
  const end = numberEnd(bytes, at);
  if (end < 0) return 'that is not a list of numbers';
  return Number.isFinite(exactFloat32(bytes, at, end)) ? undefined : 'with a number beyond float32';
}

function indexProblem({ bytes, at }: JsonCursor): string | undefined {
  const end = numberEnd(bytes, at);
  if (end < 0) return 'whose indices are not a list of numbers';
  const text = Buffer.from(bytes.subarray(at, Math.min(end, at + 40))).toString('latin1');
  return INDEX.test(text) && Number(text) <= MAX_U32 ? undefined : `with the index ${text}, which is no u32`;
}
