/** What the fuzz once found, in a real kernel, one case after the other as an agent would meet them. */
import { expect, test } from 'vitest';
import { readCorpus } from '../fuzz/fuzz-case.ts';
import { judge } from '../fuzz/judge.ts';
import { KernelLoad } from '../fuzz/kernel-load.ts';
import { dataplaneOf, inSet, ruleOf, chainOf, setOf } from '../fakes/dataplanes.ts';
import { createNetns, describeKernel } from './netns.ts';

describeKernel('the corpus of the fuzz', () => {
  test.each(['nft', 'legacy'] as const)('iptables-%s loads it and says it back', async (variant) => {
    const netns = await createNetns('fuzz');
    try {
      const kernel = new KernelLoad(netns.run, variant);
      for (const one of readCorpus().values())
        for (const dataplane of await judge(one)) await kernel.load(dataplane, true);
      expect(await netns.exec(`iptables-${variant}-save`)).toContain('-A FORWARD');
      const refused = chainOf('cali-pi-bad', ruleOf({ kind: 'accept' }, inSet(setOf('s:nosuch', []).name)));
      await expect(kernel.load(dataplaneOf({ chains: { filter: [refused] } }), true)).rejects.toThrow('cali-pi-bad');
    } finally {
      await netns.destroy();
    }
  });
});
