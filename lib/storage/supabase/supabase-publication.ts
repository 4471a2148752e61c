import type { StorePublication } from '../publication.ts';
import type { SupabaseSession } from './supabase-session.ts';

/** What every request about an object of the bucket needs. */
export interface SupabasePublication extends StorePublication {
  readonly session: SupabaseSession;
}
