/** The published listing, out of the kernel's own mouth. */
import { expect, test } from 'vitest';
import { compileAll } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import { seedListing, seedOptions, seedStore } from '../compile/seed-cluster.ts';
import { createNetns, describeKernel, type Netns } from './netns.ts';

const store = seedStore();
const options = { ...seedOptions, ipFamilies: ['ipv4', 'ipv6'] } as const;
const { dataplane } = compileAll(store, options, syntheticFacts(store, 'minikube'));

async function withSeed(variant: string, use: (netns: Netns) => Promise<void>): Promise<void> {
  const netns = await createNetns('seed');
  try {
    await netns.exec('ipset restore', ipSetRestoreText(dataplane));
    await netns.exec(`iptables-${variant}-restore --noflush`, iptablesRestoreText(dataplane, 'ipv4'));
    await netns.exec(`ip6tables-${variant}-restore --noflush`, iptablesRestoreText(dataplane, 'ipv6'));
    await use(netns);
  } finally {
    await netns.destroy();
  }
}

/** Counters are the packets of the moment. */
function withoutCounters(saved: string): readonly string[] {
  return saved.split('\n').map((line) => line.replace(/\[\d+:\d+\]$/, '[0:0]'));
}

describeKernel('the seed cluster in the kernel', () => {
  test.each(['nft', 'legacy'])('iptables-%s-save shows the listing byte for byte', async (variant) => {
    await withSeed(variant, async (netns) => {
      const saved = withoutCounters(await netns.exec(`iptables-${variant}-save -t filter`));
      expect(saved).toEqual(expect.arrayContaining([...seedListing()]));
      expect(await netns.exec(`iptables-${variant}-save -t raw`)).toContain('-j cali-PREROUTING');
      expect(await netns.exec(`iptables-${variant}-save -t mangle`)).toContain('-j cali-POSTROUTING');
      expect(await netns.exec(`ip6tables-${variant}-save -t filter`)).toContain(':cali-tw-cali95aa86cbb2a - [0:0]');
    });
  });

  test("the policy's set holds the backend alone", async () => {
    await withSeed('nft', async (netns) => {
      const listed = await netns.exec('ipset list cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge');
      expect(listed.slice(listed.indexOf('Members:')).trimEnd()).toBe('Members:\n10.88.0.27');
    });
  });

  test('the hooks are in their places', async () => {
    await withSeed('nft', async (netns) => {
      const saved = (await netns.exec('iptables-nft-save -t filter')).split('\n');
      const forward = saved.filter((line) => line.startsWith('-A FORWARD'));
      expect(forward).toHaveLength(2);
      expect(forward[0]).toContain('-j cali-FORWARD');
      expect(forward[1]).toContain('--comment "Policy explicitly accepted packet."');
    });
  });
});
