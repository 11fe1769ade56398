/** A refusal by policies in words, with the rule that would have to exist. */
import type { NetworkPolicy } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import { joinHostPort } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { InvestigatedBranch } from './investigate.ts';
import type { RuleMiss } from './near-miss.ts';
import type { Paint } from './paint.ts';
import type { Refusal } from './refusal.ts';
import { refusalsOf } from './refusal.ts';

/** Empty where no policy refused. */
export function refusalLines(model: ClusterModel, branch: InvestigatedBranch, paint: Paint): readonly string[] {
  const refusals = refusalsOf(model, branch);
  if (refusals.length === 0) return [];
  return [...refusals.flatMap((refusal) => oneRefusal(refusal, paint)), ...translationLines(branch)];
}

function oneRefusal({ direction, pod, policies, missingRule }: Refusal, paint: Paint): readonly string[] {
  const count = policies.length === 1 ? '1 policy isolates' : `${policies.length} policies isolate`;
  const one = policies.length === 1 ? 'that policy' : 'any one of them';
  const none = policies.length === 1 ? 'it does not allow this' : 'none of them allows this';
  return [
    '',
    `${count} pod ${keyOf(pod)} for ${direction}, and ${none}:`,
    ...policies.flatMap(({ policy, misses }) => [
      `  ${paint.strong(`NetworkPolicy ${keyOf(policy)}`)}${placeText(policy)}`,
      ...missLines(policy, misses, direction),
    ]),
    `To allow it, add this below spec: of ${one}, or of a new policy that selects the pod:`,
    ...missingRule
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
  ];
}

function missLines(policy: NetworkPolicy, misses: readonly RuleMiss[], direction: string): readonly string[] {
  if (misses.length === 0) return [`    has no ${direction} rule: it allows nothing`];
  return misses.map(({ path, why }) => `    ${path}${placeText(policy, path)} ${why}`);
}

function placeText({ location }: NetworkPolicy, path?: string): string {
  if (location === undefined) return '';
  const line = path === undefined ? location.line : location.lines.get(path);
  return line === undefined ? '' : ` (${location.file}:${line})`;
}

/** Policies meet the packet behind the Service. */
function translationLines({ connection, journey }: InvestigatedBranch): readonly string[] {
  const { packet } = journey.outcome;
  if (!packet.isDnat) return [];
  const seen = joinHostPort(packet.destination, packet.destinationPort ?? 0);
  return [
    `Policies see the endpoint ${seen}, not the address ${joinHostPort(connection.to, connection.port)} that was asked for.`,
  ];
}
