import type { Host } from '../host.ts';
import type { Redactor } from '../redact.ts';
import { type Environment, loadEnvironment, namesAtStart, shareWithSdk, withoutBunsOwn } from './env.ts';

/**
 * The variables of this run, from the process and `.env` files or the one named; their secrets are hidden from then on.
 * Changes the process's own where the AWS SDK or Bun read them.
 */
export function readEnvironment(
  host: Pick<Host, 'env' | 'folder'>,
  envFile: string | undefined,
  redactor: Redactor,
  warn: (text: string) => void,
): Environment {
  const ofProcess = withoutBunsOwn(host.env, host.folder, namesAtStart());
  redactor.hideThoseOf(ofProcess);
  const { environment, warnings } = loadEnvironment(ofProcess, host.folder, envFile);
  redactor.hideThoseOf(environment);
  for (const warning of warnings) warn(warning);
  shareWithSdk(environment, host.env);
  // It would switch off what is promised: that certificates are always checked.
  if (host.env.NODE_TLS_REJECT_UNAUTHORIZED !== undefined) {
    delete host.env.NODE_TLS_REJECT_UNAUTHORIZED;
    warn(
      'NODE_TLS_REJECT_UNAUTHORIZED has no effect here; --ca-cert FILE adds a private certificate authority.',
    );
  }
  return environment;
}
