/** Which positions hold a point. Costs a byte a position once any within its range is empty. */
export class Presence {
  readonly #first: number;
  readonly #end: number;
  /** 1 where there is none, by position within the range. */
  #absent: Uint8Array | undefined;
  #count: number;

  constructor(first: number, length: number, isAbsent?: (position: number) => boolean) {
    this.#first = first;
    this.#end = first + length;
    this.#count = length;
    if (isAbsent === undefined) return;
    for (let at = first; at < this.#end; at++) if (isAbsent(at)) this.set(at, false);
  }

  /** Points that there are. */
  get count(): number {
    return this.#count;
  }

  has(position: number): boolean {
    if (position < this.#first || position >= this.#end) return false;
    return this.#absent === undefined || this.#absent[position - this.#first] === 0;
  }

  /** Returns whether it was otherwise before. Positions out of the range stay empty. */
  set(position: number, isPresent: boolean): boolean {
    if (position < this.#first || position >= this.#end || this.has(position) === isPresent) return false;
    this.#absent ??= new Uint8Array(this.#end - this.#first);
    this.#absent[position - this.#first] = isPresent ? 0 : 1;
    this.#count += isPresent ? 1 : -1;
    return true;
  }
}
