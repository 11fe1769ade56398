/** What a build with another chain layout would have left: the same rules under other names that begin as ours do. */
import { inside } from './raw-packets.ts';
import type { NodeKernel } from './without.ts';

const programs = ['iptables', 'ip6tables'] as const;

/** Renames all chains and sets of policy on a node on which no agent runs. At every moment what was enforced stays enforced. */
export async function plantOtherLayout(node: NodeKernel): Promise<void> {
  const saved = await inside(node.netns, ['ipset', 'save']);
  const names = [...saved.matchAll(/^create (cali[46]0\S+)/gm)].map(([, name = '']) => name);
  // A set that rules refer to cannot be renamed: a copy is made, and the old one goes when nobody refers to it any more.
  const own = saved.split('\n').filter((line) => names.includes(line.split(' ')[1] ?? ''));
  const copies = own.map((line) =>
    line.replace(/^(\w+) (\S+)/, (_, verb: string, name: string) => `${verb} ${otherName(name)}`),
  );
  await inside(node.netns, ['ipset', 'restore'], `${copies.join('\n').replaceAll(/ initval \S+/g, '')}\n`);
  for (const program of programs) {
    const rules = await inside(node.netns, [`${program}-${node.variant}-save`]);
    for (const table of rules.split(/^COMMIT$/m)) await renameChains(node, program, table);
  }
  for (const name of names) await inside(node.netns, ['ipset', 'destroy', name]);
}

async function renameChains({ netns, variant }: NodeKernel, program: string, saved: string): Promise<void> {
  const [, table = ''] = /^\*(\w+)/m.exec(saved) ?? [];
  const chains = [...saved.matchAll(/^:(cali-\S+)/gm)].map(([, name = '']) => name);
  if (chains.length === 0) return;
  const lines = saved.split('\n');
  const own = lines.filter((line) => line.startsWith('-A cali-')).map(renamed);
  const hooks = lines.filter((line) => /^-A [A-Z]+ .*cali:/.test(line));
  const text = [
    `*${table}`,
    ...chains.map((name) => `:${otherName(name)} - [0:0]`),
    ...own,
    ...hooks.toReversed().map((hook) => renamed(hook).replace('-A ', '-I ')),
    ...hooks.map((hook) => hook.replace('-A ', '-D ')),
    ...chains.map((name) => `:${name} - [0:0]`),
    ...chains.map((name) => `-X ${name}`),
    'COMMIT',
    '',
  ].join('\n');
  await inside(netns, [`${program}-${variant}-restore`, '--noflush'], text);
}

/** The rule that accepts stays the last one of its chain, the others stay first. */
function renamed(rule: string): string {
  const named = rule.replaceAll(/\bcali-\S+|\bcali[46]0\S+/g, (name) => otherName(name));
  // The hash is over the text, names included: another text has another one.
  return named.replace(/"cali:([\w-]{15})[\w-]"/, (_, most: string) => `"cali:-${most}"`);
}

/** Of the same length: the first letter after the prefix changes its case. */
function otherName(name: string): string {
  const prefix = name.startsWith('cali-') ? 5 : 6;
  const letter = name.charAt(prefix);
  const other = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
  return name.slice(0, prefix) + other + name.slice(prefix + 1);
}
