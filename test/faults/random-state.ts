/** Clusters that differ in everything but what the watched flows may do (changing-states.ts names them). */
import { trapManifests, policyText } from '../kernel/trap-cluster.ts';
import type { Random } from './random.ts';

const others = ['open', 'selfish', 'mute', 'jailed', 'nobody'];

/**
 * One manifest. Policies may come and go, and so may labels, peers, blocks, named ports and a Service. `name` is that of one more policy,
 * for no pod: who knows it has read this state and no earlier one.
 */
export function randomState(random: Random, name: string): string {
  const documents = trapManifests
    .split('\n---\n')
    .filter((text) => !text.includes('kind: NetworkPolicy'))
    .map((text) => withRandomLabels(text, random));
  return [...documents, ...policies(random), policyText(name, 'policyTypes: [Ingress]'), ...services(random)].join(
    '\n---\n',
  );
}

export function policiesIn(manifest: string): number {
  return manifest.match(/^kind: NetworkPolicy$/gm)?.length ?? 0;
}

function withRandomLabels(text: string, random: Random): string {
  if (!text.includes('kind: Pod')) return text;
  return text.replace(/labels: \{ app: (\w+) \}/, (_, app: string) => {
    const more = random.some(['round: one', 'tier: front']).map((label) => `, ${label}`);
    return `labels: { app: ${app}${more.join('')} }`;
  });
}

function policies(random: Random): readonly string[] {
  const server = [rule(['friend', ...random.some(others)]), ...(random.isTrue() ? [blockRule(random)] : [])];
  const mute = random.isTrue()
    ? 'policyTypes: [Egress]'
    : `egress: [${blockRule(random, 'to')}]\n  policyTypes: [Egress]`;
  const open = `ingress: [${rule(['mallory', 'friend', ...random.some(others)])}]`;
  return [
    policyText('server', `ingress: [${server.join(', ')}]`),
    ...(random.isTrue(0.3) ? [named('server', 'server-too', `ingress: [${rule(random.some(others))}]`)] : []),
    named('jailed', random.of(['jailed', 'jailed-too']), 'policyTypes: [Ingress, Egress]'),
    policyText('mute', mute),
    ...(random.isTrue() ? [policyText('open', open)] : []),
    ...(random.isTrue()
      ? [policyText('selfish', random.of(['policyTypes: [Ingress]', `ingress: [${rule(others)}]`]))]
      : []),
    ...(random.isTrue(0.3) ? [named('open', 'open-too', open)] : []),
  ];
}

function services(random: Random): readonly string[] {
  if (random.isTrue()) return [];
  return [
    `apiVersion: v1\nkind: Service\nmetadata: { name: more }\nspec: { selector: { app: ${random.of(others)} }, ports: [{ port: 80 }] }`,
  ];
}

/** Peers by label; without any nobody is let in. */
function rule(apps: readonly string[]): string {
  const peers = (apps.length === 0 ? ['nobody'] : apps).map(
    (app) => `{ podSelector: { matchLabels: { app: ${app} } } }`,
  );
  return `{ from: [${peers.join(', ')}] }`;
}

function blockRule(random: Random, side = 'from'): string {
  return `{ ${side}: [{ ipBlock: { cidr: 192.0.${random.below(3)}.0/24 } }] }`;
}

function named(app: string, name: string, rest: string): string {
  return policyText(app, rest).replace(`metadata: { name: ${app} }`, `metadata: { name: ${name} }`);
}
