/** What the kernel refused, as a mistake in the object that asked for it. */
import type { Refusal } from '../backends/refusals.ts';
import { describeRefusal } from '../backends/refusals.ts';
import type { Origin } from '../dataplane/rule.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

const consequences = {
  closed: 'nothing gets through in its place',
  kept: 'its last good form stays',
  absent: 'it is left out, with what refers to it',
} as const;

export function refusalDiagnostic(refusal: Refusal): Diagnostic {
  const { object = '', path, file, line } = originOf(refusal);
  const consequence = refusal.kind === 'chain' ? `; ${consequences[refusal.instead]}` : '';
  return {
    severity: 'error',
    object,
    message: `the kernel refused ${describeRefusal(refusal)}${consequence}`,
    ...(path === undefined ? {} : { path }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  };
}

function originOf(refusal: Refusal): Origin {
  if (refusal.kind === 'hook') return {};
  if (refusal.kind !== 'chain') return refusal.set.origin;
  return refusal.chain.rules.find(({ origin }) => origin.object !== undefined)?.origin ?? {};
}
