/** What another agent left in a namespace, for starts that must not touch it: it wanted other things, so any write of the next one shows. */
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { compileAll } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import { seedOptions, seedStore } from '../compile/seed-cluster.ts';
import { imageOf } from './kernel-image.ts';
import type { Netns } from './netns.ts';

/** Chains, hooks and sets of the seed's cluster. Answers the image of the kernel that holds them. */
export async function plantEarlierAgent(netns: Netns): Promise<string> {
  const state = seedStore();
  const { dataplane } = compileAll(state, seedOptions, syntheticFacts(state, seedOptions.nodeName));
  const backend = new KernelBackend({
    run: netns.run,
    variant: 'nft',
    families: ['ipv4', 'ipv6'],
    ownership: { services: false },
  });
  const { refused } = await new KernelWriter({ backend }).resync(dataplane);
  if (refused.length > 0) throw new Error('what was to be planted was refused');
  const image = await rulesAndSetsOf(netns);
  for (const part of [':cali-pi-', '-A FORWARD ', 'create cali40s:', 'add cali40programmed 10.88.0.26'])
    if (!image.includes(part)) throw new Error(`nothing would be shown: ${part} is not in the kernel`);
  return image;
}

/** Tables without any rule or chain are made by looking at them, and are left out. */
export async function rulesAndSetsOf(netns: Netns): Promise<string> {
  const image = await imageOf({ netns: netns.name, variant: 'nft' });
  return image.replaceAll(/^\*\w+\n(?::[A-Z]+ ACCEPT .*\n)*COMMIT\n+/gm, '').replaceAll(/\n{2,}/g, '\n');
}
