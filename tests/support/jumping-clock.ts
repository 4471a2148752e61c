/**
 * Loaded before the program: at SIGUSR2 the clock that tells the time of day jumps by CLOCK_JUMP_SECONDS. The clocks
 * of timers and of performance.now() do not, as on a machine whose clock is set.
 */
import { writeSync } from 'node:fs';

const RealDate = Date;
let shiftMs = 0;

globalThis.Date = class extends RealDate {
  // biome-ignore lint/suspicious/noExplicitAny: whatever a Date is made of
  constructor(...from: any[]) {
    if (from.length === 0) super(RealDate.now() + shiftMs);
    else super(...(from as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
} as DateConstructor;

process.on('SIGUSR2', () => {
  shiftMs = Number(process.env.CLOCK_JUMP_SECONDS) * 1000;
  writeSync(2, `The clock jumps to ${new Date().toISOString()}.\n`);
});
