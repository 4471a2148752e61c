import { PATIENT, type RetryNotice, type RetryPolicy } from '../retry.ts';
import type { Limits } from './attempt.ts';
import { PATIENCE, type Patience } from './patience.ts';

/** What every request about an object of a store needs. */
export interface StorePublication {
  readonly key: string;
  /** For people. */
  readonly location: string;
  readonly policy: RetryPolicy;
  readonly onRetry: (notice: RetryNotice) => void;
  /** For requests that the run's signal may cut at any time. */
  readonly limits: Limits;
  /** For requests after which the store has something it had not: they outlive the signal for a while. */
  readonly decisive: Limits;
  readonly patience: Patience;
}

export interface PublicationSettings {
  /** For every request. Default PATIENT, and BRISK for the first contact. */
  readonly retryPolicy?: RetryPolicy | undefined;
  /** Called before each pause of a retry. */
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  readonly patience?: Partial<Patience> | undefined;
}

/** How often a look right after a write may find nothing (stores that settle late). */
export const SETTLING: RetryPolicy = { attempts: 5, baseMs: 200, capMs: 2_000 };

/** `policy` counts where the settings name none. */
export function publicationTo(
  key: string,
  location: string,
  signal: AbortSignal,
  settings: PublicationSettings,
  policy: RetryPolicy = PATIENT,
): StorePublication {
  const patience = { ...PATIENCE, ...settings.patience };
  const limits = { signal, timeoutMs: patience.requestMs };
  return {
    key,
    location,
    policy: settings.retryPolicy ?? policy,
    onRetry: settings.onRetry ?? (() => {}),
    limits,
    decisive: { ...limits, graceMs: patience.graceMs },
    patience,
  };
}
