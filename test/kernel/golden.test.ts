/** Every scenario's text loads, and both variants of iptables answer with the golden save text, in both families. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scenarioNames, scenariosFolder } from '../scenario.ts';
import { createNetns, describeKernel } from './netns.ts';
import { loadAndSave, sortedSave } from './saved-text.ts';

describeKernel('golden save text', () => {
  for (const variant of ['nft', 'legacy'] as const) {
    test.each(scenarioNames)(`iptables-${variant} says back %s`, async (name) => {
      const golden = (file: string): string => readFileSync(join(scenariosFolder, name, file), 'utf8');
      const netns = await createNetns('gold');
      try {
        const texts = { ipSets: golden('ipset.txt'), ipv4: golden('restore.v4.txt'), ipv6: golden('restore.v6.txt') };
        const saved = await loadAndSave(netns.run, variant, texts);
        expect(Object.keys(saved)).toEqual(['save.v4.txt', 'save.v6.txt']);
        for (const [file, text] of Object.entries(saved)) expect(text, file).toBe(golden(file));
      } finally {
        await netns.destroy();
      }
    });
  }

  test('a golden save text is something that the kernel loads', async () => {
    const netns = await createNetns('gold');
    try {
      const golden = (file: string): string => readFileSync(join(scenariosFolder, 'seed', file), 'utf8');
      await netns.exec('ipset restore', golden('ipset.txt'));
      await netns.exec('iptables-nft-restore', golden('save.v4.txt'));
      expect(sortedSave(await netns.exec('iptables-nft-save'))).toBe(golden('save.v4.txt'));
    } finally {
      await netns.destroy();
    }
  });
});
