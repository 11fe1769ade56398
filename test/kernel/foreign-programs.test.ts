/** Docker, kube-proxy, flannel, firewalld and an administrator on one node with us: their rules stay as they wrote them, in their order. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { addNativeTables, addOwnRules, addPrograms, nativeImage, syncKubeProxy } from './foreign-programs.ts';
import { testLab, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { inside } from './raw-packets.ts';
import { all, policyText, trapManifests, verdictsOf } from './trap-cluster.ts';

const programs = ['iptables', 'ip6tables'] as const;
const allowed = ['friend -> server', 'mallory -> open', 'node/node-a -> jailed'];
const denied = ['mallory -> server', 'far -> server', 'friend -> jailed', 'mute -> open'];

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`beside other programs: iptables-${variant}, policy alone`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let agent: AgentProcess | undefined;

    beforeAll(async () => {
      const ipFamilies = ['ipv4', 'ipv6'] as const;
      lab = await testLab({ 'cluster.yaml': trapManifests }, { ipFamilies, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-foreign-'));
      place = await placeInLab(lab, temporary, { variant, services: false });
      await addPrograms(place);
      await addNativeTables(place);
    });

    afterAll(async () => {
      await agent?.end('SIGKILL');
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    test('everything of theirs stays over start, run, restart and cleanup, and ours is where it must be', {
      timeout: 400_000,
    }, async () => {
      const atStart = await foreignImage();
      for (const chain of ['DOCKER-ISOLATION-STAGE-1', 'KUBE-SVC-ERIFXISQEP7F7OF4', 'FLANNEL-FWD', 'IN_public_allow']) {
        expect(atStart).toContain(`-A ${chain} `);
      }
      agent = await AgentProcess.start(place);
      expect(await foreignImage()).toBe(atStart);

      await addOwnRules(place);
      const withOwn = await foreignImage();
      expect(withOwn).toContain('no mail; -j ACCEPT');
      await untilOnTop();
      expect(await foreignImage()).toBe(withOwn);
      await expectPoliced();

      await lab.write('more.yaml', policyText('open', 'policyTypes: [Ingress]'));
      await agent.untilSettled(5);
      for (const program of programs) await inside(place.netns, [`${program}-${variant}`, '-D', 'FORWARD', '1']);
      // That was ours.
      await untilOnTop();
      expect(await verdictsOf(lab.state, ['mallory -> open'])).toEqual({ 'mallory -> open': 'denied' });
      await lab.remove('more.yaml');
      await agent.untilSettled(4);
      expect(await foreignImage()).toBe(withOwn);

      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await agent.end(signal);
        expect(await foreignImage()).toBe(withOwn);
        agent = await AgentProcess.start(place);
        expect(await foreignImage()).toBe(withOwn);
      }
      await expectPoliced();
      await agent.end('SIGTERM');
      agent = undefined;
      await cleanNode(place);
      expect(await wholeImage()).toBe(withOwn);
      expect(await inside(place.netns, ['ipset', 'list', '-n'])).toBe('blocklist\n');
    });

    test('a kube-proxy that syncs all the time and our agent leave each other alone', {
      timeout: 300_000,
    }, async () => {
      agent = await AgentProcess.start(place);
      const before = await foreignImage();
      const stop = new AbortController();
      const syncing = syncUntil(stop.signal);
      for (const round of [1, 2, 3]) {
        await lab.write('more.yaml', policyText('open', `policyTypes: [${round === 2 ? 'Egress' : 'Ingress'}]`));
        await pause(700);
      }
      await lab.remove('more.yaml');
      await agent.untilSettled(4);
      stop.abort();
      expect(await syncing).toBeGreaterThan(2);
      expect(await foreignImage()).toBe(before);
      await expectPoliced();
      expect((await askAgent(place.runDir))?.status.driftRepairs).toBe(0);
    });

    /** How often it synced. */
    async function syncUntil(signal: AbortSignal): Promise<number> {
      for (let count = 0; ; count += 1) {
        if (signal.aborted) return count;
        await syncKubeProxy(place);
        await pause(100);
      }
    }

    async function expectPoliced(): Promise<void> {
      const found = await verdictsOf(lab.state, [...allowed, ...denied]);
      expect(found).toEqual({ ...all('allowed', allowed), ...all('denied', denied) });
    }

    /** Ours is the first rule of FORWARD, INPUT, raw PREROUTING; the guard and what accepts are the last. */
    async function untilOnTop(): Promise<void> {
      const deadline = Date.now() + 30_000;
      for (;;) {
        const wrong = (await Promise.all(programs.map(outOfPlace))).flat();
        if (wrong.length === 0) return;
        if (Date.now() > deadline) throw new Error(`not in place after 30 s: ${wrong.join(', ')}`);
        await pause(100);
      }
    }

    async function outOfPlace(program: string): Promise<readonly string[]> {
      const saved = await inside(place.netns, [`${program}-${variant}-save`]);
      const tables = new Map(saved.split(/^COMMIT$/m).map((text) => [/^\*(\w+)$/m.exec(text)?.[1] ?? '', text]));
      const firsts = [
        ['filter', 'FORWARD'],
        ['filter', 'INPUT'],
        ['raw', 'PREROUTING'],
      ] as const;
      return firsts.flatMap(([table, chain]) => {
        const [first = ''] = (tables.get(table) ?? '').split('\n').filter((line) => line.startsWith(`-A ${chain} `));
        return /--comment "?cali:/.test(first) ? [] : [`${program} ${table} ${chain}: ${first}`];
      });
    }

    /** All but ours, in the order of the kernel. */
    async function foreignImage(): Promise<string> {
      return image((line) => !/^(?::|-A )cali-|^-A [A-Z]+ .*--comment "?cali:/.test(line));
    }

    function wholeImage(): Promise<string> {
      return image(() => true);
    }

    async function image(isWanted: (line: string) => boolean): Promise<string> {
      const saved = await Promise.all(programs.map((program) => inside(place.netns, [`${program}-${variant}-save`])));
      const tables = saved.flatMap((text) =>
        text.split(/^COMMIT$/m).map((part) =>
          part
            .split('\n')
            .filter((line) => line !== '' && !line.startsWith('#') && isWanted(line))
            .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
            .join('\n'),
        ),
      );
      const sets = (await inside(place.netns, ['ipset', 'save'])).split('\n').filter((line) => !/^\w+ cali/.test(line));
      return [...tables.toSorted(), ...sets, await nativeImage(place)].join('\n\n');
    }
  });
}
