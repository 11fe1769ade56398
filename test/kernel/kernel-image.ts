/** What a node's kernel holds, as text: to compare before and after, ours apart from what is foreign. */
import { pause } from '../../src/lab/run-directory.ts';
import { sortedSave } from './saved-text.ts';
import { inside } from './raw-packets.ts';
import type { NodeKernel } from './without.ts';

const programs = ['iptables', 'ip6tables'] as const;

/** Rules of both families by table and chain, without counters, and the sets with their members; which connections are cut is the moment's. */
export async function imageOf({ netns, variant }: NodeKernel): Promise<string> {
  const rules = await Promise.all(programs.map((program) => inside(netns, [`${program}-${variant}-save`])));
  return [...rules.map(sortedSave), await setsOf(netns, () => true)].join('\n');
}

/**
 * The image under an agent that has come to rest. A set that the kernel holds a moment longer than its last rule is destroyed by
 * the next look (`driftCheckSeconds`, 2), so what stays the same for longer than that is what the agent wants.
 */
export async function lastingImageOf(kernel: NodeKernel): Promise<string> {
  let image = await imageOf(kernel);
  for (let tries = 0; tries < 10; tries += 1) {
    await pause(2_500);
    const later = await imageOf(kernel);
    if (later === image) return image;
    image = later;
  }
  throw new Error('the kernel does not come to rest');
}

/** What is not ours, byte for byte but for counters and the order of tables. */
export async function foreignImageOf({ netns, variant }: NodeKernel): Promise<string> {
  const rules = await Promise.all(programs.map((program) => inside(netns, [`${program}-${variant}-save`])));
  const foreign = rules.map((text) =>
    text
      .split('\n')
      .filter((line) => !isOurs(line))
      .join('\n'),
  );
  return [...foreign.map(tablesInOrder), await setsOf(netns, (name) => !/^cali[46][0t]/.test(name))].join('\n');
}

/** What is ours: rules in order, and the sets with their members but for which connections are cut. */
export async function ownImageOf({ netns, variant }: NodeKernel): Promise<string> {
  const rules = await Promise.all(programs.map((program) => inside(netns, [`${program}-${variant}-save`])));
  const own = rules.map((text) =>
    text
      .split('\n')
      .filter((line) => isOurs(line) || line.startsWith('*') || line === 'COMMIT')
      .join('\n'),
  );
  // A table that holds nothing of ours may be there or not.
  const texts = own.map((text) => sortedSave(text).replaceAll(/^\*\w+\nCOMMIT\n+/gm, ''));
  return [...texts, await setsOf(netns, (name) => /^cali[46][0t]/.test(name))].join('\n');
}

/** Packets that each rule has counted, by its line; rules that are the same twice count together. */
export async function countersOf({ netns, variant }: NodeKernel): Promise<ReadonlyMap<string, number>> {
  const counters = new Map<string, number>();
  for (const program of programs) {
    const saved = await inside(netns, [`${program}-${variant}-save`, '-c']);
    for (const [, packets, rule = ''] of saved.matchAll(/^\[(\d+):\d+\] (-A .*)$/gm)) {
      const key = `${program} ${rule}`;
      counters.set(key, (counters.get(key) ?? 0) + Number(packets));
    }
  }
  return counters;
}

/** Rules and chains with the numbers that the kernel gave them; another number is another rule. nf_tables only. */
export async function handlesOf(netns: string): Promise<string> {
  const listed = await inside(netns, ['nft', '-a', 'list', 'ruleset']);
  return listed.replaceAll(/counter packets \d+ bytes \d+/g, 'counter');
}

/** Chains by their prefix, rules in them, and rules that lead to them or carry our hash. */
function isOurs(line: string): boolean {
  return (
    /^(:|-A )(cali-|KUBE-(SERVICES|NODEPORTS|SVC-|SVL-|EXT-|FW-|SEP-|MARK-MASQ|POSTROUTING|FORWARD|EXTERNAL-SERVICES|PROXY-FIREWALL))/.test(
      line,
    ) || /^-A [A-Z]+ .*(--comment "?cali:|"kubernetes )/.test(line)
  );
}

/** The variants, and what was written first, decide in which order tables are printed. */
function tablesInOrder(saved: string): string {
  const tables = saved.split(/^COMMIT$/m).map((table) =>
    table
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
      .join('\n'),
  );
  return tables.toSorted().join('\n\n');
}

async function setsOf(netns: string, isWanted: (name: string) => boolean): Promise<string> {
  const saved = (await inside(netns, ['ipset', 'save'])).split('\n');
  return saved
    .filter((line) => isWanted(line.split(' ')[1] ?? '') && !/^add cali[46]0cut /.test(line))
    .map((line) => line.replace(/ initval \S+/, ''))
    .toSorted()
    .join('\n');
}
