/** A refusal by policies in words, with the rule that would have to exist. */
import type { Mistake, NetworkPolicy } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import { joinHostPort } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { InvestigatedBranch } from './investigate.ts';
import type { RuleMiss } from './near-miss.ts';
import type { Paint } from './paint.ts';
import type { PolicyRefusal, Refusal } from './refusal.ts';
import { refusalsOf } from './refusal.ts';

/** Empty where no policy refused. */
export function refusalLines(model: ClusterModel, branch: InvestigatedBranch, paint: Paint): readonly string[] {
  const refusals = refusalsOf(model, branch);
  if (refusals.length === 0) return [];
  return [...refusals.flatMap((refusal) => oneRefusal(refusal, paint)), ...translationLines(branch)];
}

function oneRefusal({ direction, pod, policies, missingRule }: Refusal, paint: Paint): readonly string[] {
  const count = policies.length === 1 ? '1 policy isolates' : `${policies.length} policies isolate`;
  const none = policies.length === 1 ? 'it does not allow this' : 'none of them allows this';
  return [
    '',
    `${count} pod ${keyOf(pod)} for ${direction}, and ${none}:`,
    ...policies.flatMap(({ policy, misses }) => [
      `  ${paint.strong(`NetworkPolicy ${keyOf(policy)}`)}${placeText(policy)}`,
      ...missLines(policy, misses, direction),
    ]),
    `To allow it, add this below spec: of ${placesText(policies)}a new policy that selects the pod:`,
    ...missingRule
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
  ];
}

/** Where the rule helps: in a policy that cannot be read whole it would not be read either. */
function placesText(policies: readonly PolicyRefusal[]): string {
  const sound = policies.filter(({ policy }) => policy.malformed === undefined);
  const [first] = sound;
  if (first === undefined) return '';
  if (sound.length > 1) return `any one of ${sound.length === policies.length ? 'them' : 'the others'}, or of `;
  return `${policies.length === 1 ? 'that policy' : `NetworkPolicy ${keyOf(first.policy)}`}, or of `;
}

function missLines(policy: NetworkPolicy, misses: readonly RuleMiss[], direction: string): readonly string[] {
  if (policy.malformed !== undefined) {
    return [`    cannot be read whole (${mistakeText(policy, policy.malformed)}): it allows nothing until mended`];
  }
  if (misses.length === 0) return [`    has no ${direction} rule: it allows nothing`];
  return misses.map(({ path, why }) => `    ${path}${placeText(policy, path)} ${why}`);
}

function mistakeText({ location }: NetworkPolicy, { path, line }: Mistake): string {
  const place = location === undefined || line === undefined ? '' : `${location.file}:${line}`;
  return [place, path].filter((part) => part !== '').join(': ');
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
