/** Whether a node's kernel holds what `sluice render` prints of the same objects, loaded into an empty kernel. */
import { join } from 'node:path';
import { withNetns } from '../../bench/netns.ts';
import { run } from '../../src/backends/exec.ts';
import { runDirectory } from '../../src/lab/run-directory.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { imageOf } from '../kernel/kernel-image.ts';

/** The lines that only one of the two has; empty: equal. */
export async function endStateDifferences(lab: LabState, node: string): Promise<readonly string[]> {
  const netns = lab.nodes.find(({ name }) => name === node)?.netns ?? '';
  const rendered = Object.fromEntries(
    await Promise.all(
      (['ipset', 'v4', 'v6'] as const).map(async (only) => [only, await render(lab, node, only)] as const),
    ),
  );
  return withNetns(['scratch'], async ({ scratch }) => {
    await scratch.run(['ipset', 'restore'], { input: rendered['ipset'] ?? '' });
    await scratch.run(['iptables-nft-restore', '--noflush'], { input: rendered['v4'] ?? '' });
    await scratch.run(['ip6tables-nft-restore', '--noflush'], { input: rendered['v6'] ?? '' });
    const wanted = await imageOf({ netns: scratch.name, variant: 'nft' });
    const found = await imageOf({ netns, variant: 'nft' });
    if (!wanted.includes('-A cali-FORWARD ') || !wanted.includes('-A KUBE-SERVICES '))
      throw new Error('render made nothing');
    return [...missingIn(found, wanted, '- '), ...missingIn(wanted, found, '+ ')];
  });
}

async function render(lab: LabState, node: string, only: string): Promise<string> {
  const flags: Readonly<Record<string, string>> = {
    node,
    only,
    manifests: runDirectory(lab.name).cluster,
    'ip-families': lab.ipFamilies.join(','),
    'cluster-cidrs': '10.88.0.0/16,fd00:10:88::/48',
    'local-traffic-detector': 'localPods',
  };
  const argv = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
  return (await run([process.execPath, main, 'render', ...argv, '--service-proxy'])).stdout;
}

function missingIn(text: string, other: string, sign: string): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) counts.set(line, (counts.get(line) ?? 0) + 1);
  return other.split('\n').flatMap((line) => {
    const left = (counts.get(line) ?? 0) - 1;
    counts.set(line, left);
    return left < 0 ? [`${sign}${line}`] : [];
  });
}
