import { type ExponentStyle, float32Text } from './float-text.ts';
import type { Datatype } from './generated-vector.ts';
import { normal, randomNumbers } from './random-numbers.ts';

/** Different values that vectors are drawn from; their texts are made once. */
export const POOL_SIZE = 16_384;

const pools = new Map<string, Float32Array>();
const texts = new Map<string, readonly string[]>();

/**
 * The values of vectors of a size, each of which the datatype holds exactly: whole numbers up to 255 for uint8,
 * else normally distributed, so that a vector's length is about 1.
 */
export function valuePool(size: number, datatype: Datatype): Float32Array {
  const key = `${size} ${datatype}`;
  let pool = pools.get(key);
  if (pool === undefined) {
    pool = makePool(size, datatype);
    pools.set(key, pool);
  }
  return pool;
}

function makePool(size: number, datatype: Datatype): Float32Array {
  const random = randomNumbers(`values of ${size} dimensions`);
  if (datatype === 'uint8') {
    return Float32Array.from({ length: POOL_SIZE }, () => Math.floor(random() * 256));
  }
  const values = Float32Array.from({ length: POOL_SIZE }, () => normal(random) / Math.sqrt(size));
  return datatype === 'float16' ? Float32Array.from(new Float16Array(values)) : values;
}

/** The pool's values as JSON. */
export function valueTexts(size: number, datatype: Datatype, style: ExponentStyle): readonly string[] {
  const key = `${size} ${datatype} ${style}`;
  let made = texts.get(key);
  if (made === undefined) {
    made = Array.from(valuePool(size, datatype), (value) => float32Text(value, style));
    texts.set(key, made);
  }
  return made;
}
