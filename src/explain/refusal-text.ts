/** A refusal by policies in words, with the rule that would have to exist. */
import type { Mistake, NetworkPolicy } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { TraceStep } from '../dataplane/trace/step.ts';
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

/** Policies meet the packet behind the Service, and behind the node that hides its client. */
function translationLines({ connection, journey }: InvestigatedBranch): readonly string[] {
  const { destination, destinationPort = 0, source } = journey.outcome.packet;
  const lines: string[] = [];
  const [seen, asked] = [joinHostPort(destination, destinationPort), joinHostPort(connection.to, connection.port)];
  if (seen !== asked) lines.push(`Policies see the endpoint ${seen}, not the address ${asked} that was asked for.`);
  const hiding = journey.hops.find(({ trace }) => trace.path.some(isMasquerade));
  if (hiding === undefined || source === connection.from.address) return lines;
  const isExternal = hiding.trace.path.some(({ chain }) => chain.startsWith('KUBE-EXT-'));
  const hint = isExternal ? ", as externalTrafficPolicy Cluster does; Local keeps the client's address" : '';
  return [
    ...lines,
    `Policies see the client as ${source}, not as ${connection.from.address}: node ${hiding.node} hides it${hint}.`,
  ];
}

function isMasquerade(step: TraceStep): boolean {
  return step.kind === 'rule' && step.rule.action.kind === 'masquerade';
}
