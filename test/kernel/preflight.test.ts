/** The preflight, the detection of the iptables variant, and conntrack, on the real kernel. */
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Conntrack } from '../../src/backends/conntrack/conntrack.ts';
import type { Flow } from '../../src/backends/conntrack/flows.ts';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { detectVariant } from '../../src/backends/iptables/variant.ts';
import { readMachineVersions } from '../../src/backends/machine-versions.ts';
import { preflight, programVersions } from '../../src/backends/preflight.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import type { Netns } from './netns.ts';
import { createNetns, describeKernel } from './netns.ts';

describeKernel('preflight', () => {
  let netns: Netns;
  beforeEach(async () => {
    netns = await createNetns('pre');
  });
  afterEach(() => netns.destroy());

  const options = { families: ['ipv4', 'ipv6'], services: true } as const;

  test.each(['nft', 'legacy'] as const)(
    '%s: this machine has everything, and nothing stays behind',
    async (variant) => {
      expect(await preflight({ ...options, run: netns.run, variant })).toEqual([]);
      expect(await netns.exec('ipset list -name')).toBe('');
      for (const family of ['ip', 'ip6'])
        expect(await netns.exec(`${family}tables-${variant}-save`)).not.toContain('cali');
    },
  );

  test('a machine that has everything is asked by few programs: the first write waits for them', async () => {
    const started: string[] = [];
    const run: Run = (argv, more) => {
      started.push(argv[0]);
      return netns.run(argv, more);
    };
    expect(await preflight({ ...options, run, variant: 'nft' })).toEqual([]);
    const trials = started.filter((program) => /^ipset$|-restore$/.test(program));
    expect(trials.sort()).toEqual(['ip6tables-nft-restore', 'ipset', 'ipset', 'iptables-nft-restore']);
    // What no trial runs is looked for, not run.
    expect(started.length).toBe(trials.length);
  });

  test.each(['nft', 'legacy'] as const)('%s: what a killed preflight has left is no obstacle', async (variant) => {
    for (const [program, family, set] of [
      ['iptables', 'inet', 'cali4t9'],
      ['ip6tables', 'inet6', 'cali6t9'],
    ] as const) {
      await netns.exec(`ipset create ${set} hash:net family ${family}`);
      await netns.exec(
        `${program}-${variant}-restore --noflush`,
        `*filter\n:cali-preflight - [0:0]\n-A cali-preflight -m set --match-set ${set} src -j DROP\nCOMMIT\n`,
      );
    }
    expect(await preflight({ ...options, run: netns.run, variant })).toEqual([]);
    expect(await netns.exec('ipset list -name')).toBe('');
  });

  test('a missing program is named', async () => {
    const run: Run = (argv, more) =>
      argv[0] === 'ipset' ? Promise.reject(new CommandError({ argv, code: 'ENOENT' })) : netns.run(argv, more);
    expect(await preflight({ ...options, run, variant: 'nft' })).toEqual([
      { kind: 'program', name: 'ipset', message: 'program ipset is not on this machine' },
    ]);
    expect((await programVersions(run, 'nft')).get('iptables-nft-restore')).toMatch(/v1\.\d/);
    expect((await programVersions(run, 'nft')).has('ipset')).toBe(false);
  });

  test.each(['nft', 'legacy'] as const)('%s: the versions of what is worked with are numbers', async (variant) => {
    const { iptables, ipset, kernel } = await readMachineVersions(netns.run, variant);
    for (const version of [iptables, ipset, kernel]) expect(version).toMatch(/^\d+\.\d+/);
    const missing: Run = (argv) => Promise.reject(new CommandError({ argv, code: 'ENOENT' }));
    expect(await readMachineVersions(missing, variant)).toEqual({ iptables: '', ipset: '', kernel });
  });

  test('conntrack is missing: what no trial runs is looked for on the PATH, and nothing of the trial stays behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-path-'));
    const path = process.env['PATH'] ?? '';
    try {
      for (const directory of path.split(delimiter)) await linkPrograms(directory, folder, 'conntrack');
      process.env['PATH'] = folder;
      const missing = await preflight({ ...options, run: netns.run, variant: 'nft' });
      expect(missing).toMatchObject([{ kind: 'program', name: 'conntrack' }]);
    } finally {
      process.env['PATH'] = path;
      await rm(folder, { recursive: true });
    }
    expect(await netns.exec('ipset list -name')).toBe('');
    for (const family of ['ip', 'ip6']) expect(await netns.exec(`${family}tables-nft-save`)).not.toContain('cali');
  });

  test.each(['iptables-nft-restore', 'ip6tables-nft-restore'])(
    '%s is missing: nothing of the trial stays behind',
    async (program) => {
      const run: Run = (argv, more) =>
        argv[0] === program ? Promise.reject(new CommandError({ argv, code: 'ENOENT' })) : netns.run(argv, more);
      expect(await preflight({ ...options, run, variant: 'nft' })).toMatchObject([{ kind: 'program', name: program }]);
      expect(await netns.exec('ipset list -name')).toBe('');
      for (const family of ['ip', 'ip6']) expect(await netns.exec(`${family}tables-nft-save`)).not.toContain('cali');
    },
  );

  /** Asks the real kernel for something that it does not have instead. */
  const replacing =
    (from: string, to: string): Run =>
    (argv, more) => {
      const [program, ...args] = argv;
      const input = more?.input?.replaceAll(from, to);
      return netns.run([program, ...args.map((word) => (word === from ? to : word))], {
        ...more,
        ...(input === undefined ? {} : { input }),
      });
    };

  test.each(['nft', 'legacy'] as const)(
    '%s: a missing match, target or set type is named, once for each place',
    async (variant) => {
      const noMatch = await preflight({ ...options, run: replacing('-m statistic', '-m nostatistic'), variant });
      expect(noMatch.map(({ name }) => name)).toEqual(['match statistic', 'match statistic']);
      expect(noMatch[0]?.message).toMatch(
        /^iptables match statistic does not work in the IPv4 table nat .*nostatistic/,
      );
      const noTarget = await preflight({ ...options, run: replacing('--jump MASQUERADE', '--jump NOMASQ'), variant });
      expect(noTarget.map(({ name }) => name)).toEqual([
        'target MASQUERADE (--random-fully)',
        'target MASQUERADE (--random-fully)',
      ]);
      // This kernel has no hash:net,net.
      const noType = await preflight({ ...options, run: replacing('hash:ip,port,ip', 'hash:net,net'), variant });
      expect(noType.map(({ kind, name }) => [kind, name])).toEqual([
        ['set-type', 'hash:ip,port,ip'],
        ['set-type', 'hash:ip,port,ip'],
      ]);
      expect(noType[1]?.message).toMatch(/^ipset type hash:ip,port,ip does not work for IPv6: /);
      expect(await netns.exec('ipset list -name')).toBe('');
    },
  );

  test('the variant: kubelet says, else where rules are, else nft; a mix is told', async () => {
    const detect = (choice: 'auto' | 'nft' | 'legacy' = 'auto'): ReturnType<typeof detectVariant> =>
      detectVariant({ run: netns.run, readProc: (path) => netns.exec(['cat', path]) }, choice);
    expect(await detect()).toEqual({ variant: 'nft', reason: 'no rules yet' });
    expect(await netns.exec('cat /proc/net/ip_tables_names')).toBe('');
    await netns.exec('iptables-legacy -A INPUT -j ACCEPT');
    expect(await detect()).toEqual({ variant: 'legacy', reason: 'all rules are there' });
    expect(await detect('nft')).toMatchObject({ variant: 'nft', mixed: expect.stringContaining('legacy') as unknown });
    await netns.exec('ip6tables-nft -A INPUT -j ACCEPT');
    expect(await detect()).toMatchObject({
      variant: 'nft',
      mixed: expect.stringContaining('legacy tables (1 rules)') as unknown,
    });
    await netns.exec('iptables-legacy -t mangle -N KUBE-IPTABLES-HINT');
    expect(await detect()).toMatchObject({ variant: 'legacy', reason: 'kubelet keeps its chains there' });
  });

  test('conntrack: a flow is seen and deleted', async () => {
    await netns.exec('iptables-nft -A OUTPUT -m conntrack --ctstate NEW -j ACCEPT');
    await netns.exec(['bash', '-c', 'echo x > /dev/udp/127.0.0.1/9']);
    const conntrack = new Conntrack(netns.run);
    const flows = async (family: IpFamily): Promise<readonly Flow[]> => {
      const seen: Flow[] = [];
      await conntrack.visitFlows(family, 'udp', (flow) => seen.push(flow));
      return seen;
    };
    const [flow, ...others] = await flows('ipv4');
    expect(others).toEqual([]);
    expect(flow).toMatchObject({ protocol: 'udp', original: { destination: '127.0.0.1', destinationPort: 9 } });
    if (flow === undefined) return;
    const filter = { family: 'ipv4', protocol: 'udp', originalDestination: flow.original.destination } as const;
    expect(await conntrack.delete({ ...filter, originalDestinationPort: 10 })).toBe(0);
    expect(await conntrack.delete({ ...filter, originalDestinationPort: 9 })).toBe(1);
    expect(await flows('ipv4')).toEqual([]);
    expect(await flows('ipv6')).toEqual([]);
  });
});

/** Links to all programs of a directory but one; the first directory of a PATH that has a name wins. */
async function linkPrograms(from: string, to: string, without: string): Promise<void> {
  const names = await readdir(from).catch(() => []);
  for (const name of names) {
    if (name !== without) await symlink(join(from, name), join(to, name)).catch(() => undefined);
  }
}
