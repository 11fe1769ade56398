/** Two states of one cluster between which agents are sent to and fro: sets, policies, chains and hooks come and go, while some flows are denied, and some allowed, in both. */
import { policyText, trapManifests } from './trap-cluster.ts';

/** As they are in both states. Every pod named here is on node-a but for `far`. */
export const watchedFlows = {
  denied: ['mallory -> server', 'far -> server', 'friend -> jailed', 'mute -> open'],
  allowed: ['friend -> server', 'mallory -> open', 'friend -> open'],
} as const;

const peers = (...apps: readonly string[]): string =>
  apps.map((app) => `{ podSelector: { matchLabels: { app: ${app} } } }`).join(', ');

export const changingStates: readonly [string, string] = [trapManifests, changed()];

function changed(): string {
  const documents = trapManifests
    .split('\n---\n')
    .filter((text) => !/kind: NetworkPolicy\nmetadata: \{ name: (server|jailed|mute) \}/.test(text))
    .map((text) => text.replace('labels: { app: friend }', 'labels: { app: friend, round: second }'));
  if (documents.length !== trapManifests.split('\n---\n').length - 3) throw new Error('a policy was not found');
  const inTwoRules = `ingress: [{ from: [${peers('friend')}] }, { from: [{ podSelector: { matchLabels: { round: second } } }, ${peers('open')}] }]`;
  return [
    ...documents,
    policyText('server', inTwoRules),
    // Another policy says the same of the pod: there is no moment without one.
    policyText('jailed', 'policyTypes: [Ingress, Egress]').replace('name: jailed }', 'name: jailed-too }'),
    policyText('mute', 'egress: [{ to: [{ ipBlock: { cidr: 192.0.2.0/24 } }] }]\n  policyTypes: [Egress]'),
    policyText('open', `ingress: [{ from: [${peers('mallory', 'friend')}] }]`),
  ].join('\n---\n');
}
