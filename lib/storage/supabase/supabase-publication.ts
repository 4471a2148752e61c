import type { RetryNotice, RetryPolicy } from '../../retry.ts';
import type { Limits } from '../attempt.ts';
import type { Patience } from '../patience.ts';
import type { SupabaseSession } from './supabase-session.ts';

/** What every request about an object of the bucket needs. */
export interface SupabasePublication {
  readonly session: SupabaseSession;
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
