/** Packets through a lab's wiring, without agents: who reaches whom, as whom, in both CNIs and families. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { removeLeftovers } from '../../src/lab/down.ts';
import { EtcFiles } from '../../src/lab/etc-files.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { buildNetwork, namespacesOf } from '../../src/lab/network.ts';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabPlan } from '../../src/lab/plan.ts';
import { planLab } from '../../src/lab/plan.ts';
import { LabPods } from '../../src/lab/pods.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { PodServers } from '../../src/lab/servers.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { clusterOf, node, pod, service, web } from '../lab/cluster.ts';
import { describeKernel } from './netns.ts';
import { probe, probeAll } from './probe.ts';

const sctpToo = [...web, { port: 132, protocol: 'SCTP' as const }];
const hostPorts = [
  { port: 8080, protocol: 'TCP' as const },
  { port: 8053, protocol: 'UDP' as const },
];
const objects = [
  node('n1', ['172.31.255.2', 'fd00:172:31:255::2'], ['10.88.0.0/24', 'fd00:10:88::/64']),
  node('n2', ['172.31.255.3', 'fd00:172:31:255::3'], ['10.88.1.0/24', 'fd00:10:88:1::/64']),
  pod('a', 'n1', ['10.88.0.10', 'fd00:10:88::10']),
  pod('b', 'n1', ['10.88.0.11', 'fd00:10:88::11'], { ports: sctpToo }),
  pod('c', 'n2', ['10.88.1.10', 'fd00:10:88:1::10'], { ports: sctpToo }),
  pod('host', 'n2', ['172.31.255.3', 'fd00:172:31:255::3'], {
    hostNetwork: true,
    ports: hostPorts,
  }),
  pod('stray', 'n2', ['10.99.0.7']),
  service('backend', ['10.96.0.10']),
];
const cluster = clusterOf(...objects);

for (const cni of ['ptp', 'bridge'] as const) {
  describeKernel(`wiring of a lab, ${cni}`, () => {
    const name = `sltest-${process.pid}-${cni}`;
    const options: LabOptions = { ...labDefaults, directory: '/nowhere', name, cni, ipFamilies: ['ipv4', 'ipv6'] };
    const plan = planLab(cluster, options);
    const lab = stateOf(plan, name);
    let temporary = '';
    let pods: LabPods;
    let servers: PodServers;

    beforeAll(async () => {
      temporary = await mkdtemp(join(tmpdir(), 'sluice-lab-'));
      const etc = new EtcFiles(temporary, options.ipFamilies);
      await etc.write(cluster);
      servers = new PodServers(join(temporary, 'compiled'));
      const logger = createLogger('error');
      pods = new LabPods({ servers, etcOf: (namespace) => etc.directoryOf(namespace), logger });
      await buildNetwork(plan);
      await pods.follow(plan);
    });

    afterAll(async () => {
      servers.closeAll();
      await removeLeftovers(name);
      await rm(temporary, { recursive: true });
      expect(await namespacesOf((owner) => owner === name)).toEqual([]);
    });

    test('everything could be wired', () => {
      expect(plan.diagnostics).toEqual([]);
      expect(pods.problems).toEqual([]);
    });

    test.each(['ipv4', 'ipv6'] as const)(
      'all reach all by TCP and UDP, and nobody is translated: %s',
      async (family) => {
        const machines = ['a', 'b', 'c', 'node/n1', 'node/n2', 'outside'];
        const flows = machines.flatMap((from) =>
          ['a', 'b', 'c'].flatMap((to) => [
            { from, to, port: 80, protocol: 'TCP' as const, family },
            { from, to, port: 53, protocol: 'UDP' as const, family },
          ]),
        );
        const results = await probeAll(lab, flows);
        const wrong = flows.filter((flow, index) => {
          const answer = results[index]?.answer;
          const seenAs = [...lab.nodes, ...lab.pods].find(({ netns }) => netns === namespaceOf(lab, flow.from));
          const isClientRight =
            flow.from.startsWith('node/') || seenAs?.addresses.some((own) => own === answer?.client);
          return answer?.pod !== flow.to || (flow.from !== 'outside' && isClientRight !== true);
        });
        expect(wrong).toEqual([]);
        expect(flows).toHaveLength(36);
      },
    );

    test('the outside client is seen by its own address', async () => {
      const result = await probe(lab, { from: 'outside', to: 'a', port: 80, protocol: 'TCP' });
      expect(result.answer?.client).toBe('172.31.254.2');
    });

    test('a pod of the host network answers on its node, from the address that was asked', async () => {
      const flows = ['a', 'c', 'node/n1', 'outside'].flatMap((from) => [
        { from, to: 'host', port: 8080, protocol: 'TCP' as const },
        { from, to: 'host', port: 8053, protocol: 'UDP' as const },
      ]);
      const results = await probeAll(lab, flows);
      expect(results.map(({ answer }) => answer?.pod)).toEqual(flows.map(() => 'host'));
    });

    test('a pod with an address outside its node is reached too', async () => {
      const flows = ['a', 'c', 'outside'].map((from) => ({ from, to: 'stray', port: 80, protocol: 'TCP' as const }));
      const results = await probeAll(lab, flows);
      expect(results.map(({ answer }) => answer?.pod)).toEqual(['stray', 'stray', 'stray']);
    });

    test.each(['ipv4', 'ipv6'] as const)(
      'an SCTP INIT is seen where it arrives, not where it is dropped: %s',
      async (family) => {
        const flows = ['b', 'c'].map((to) => ({ from: 'a', to, port: 132, protocol: 'SCTP' as const, family }));
        expect((await probeAll(lab, flows)).map(({ detail }) => detail)).toEqual(['seen', 'seen']);
        const dropping = `table inet t { chain c { type filter hook output priority 0; sctp dport 132 drop; }; }`;
        await inside(namespaceOf(lab, 'a'), ['nft', '-f', '-'], `${dropping}\n`);
        expect((await probeAll(lab, flows)).map(({ verdict }) => verdict)).toEqual(['denied', 'denied']);
        await inside(namespaceOf(lab, 'a'), ['nft', 'delete', 'table', 'inet', 't']);
      },
    );

    test('a dropped packet is a timeout, a closed port is a refusal', async () => {
      const dropping = `table inet t { chain c { type filter hook input priority 0; tcp dport 80 drop; }; }`;
      await inside(namespaceOf(lab, 'b'), ['nft', '-f', '-'], `${dropping}\n`);
      const ports = [80, 81].map((port) => ({ from: 'a', to: 'b', port, protocol: 'TCP' as const }));
      const results = await probeAll(lab, ports);
      expect(results.map(({ verdict, detail }) => `${verdict} ${detail}`)).toEqual([
        'denied timeout',
        'denied refused',
      ]);
      await inside(namespaceOf(lab, 'b'), ['nft', 'delete', 'table', 'inet', 't']);
    });

    test('curl by name prints the name of the pod, as in the seed', async () => {
      const plain = await inside(namespaceOf(lab, 'a'), ['curl', '-s', 'http://c/']);
      expect(plain).toBe('c\n');
      const json = await inside(namespaceOf(lab, 'a'), [
        'curl',
        '-s',
        '-4',
        '-H',
        'Accept: application/json',
        'http://c.default/',
      ]);
      expect(JSON.parse(json)).toMatchObject({ pod: 'c', node: 'n2', client: '10.88.0.10', server: '10.88.1.10' });
      const hosts = await inside(namespaceOf(lab, 'host'), ['cat', '/etc/hosts']);
      expect(hosts).toContain('10.96.0.10\tbackend backend.default.svc.cluster.local');
    });

    test('a port that is taken is a message; the other ports and pods go on', async () => {
      const rival = pod('rival', 'n2', ['172.31.255.3'], { hostNetwork: true, ports: [...hostPorts, ...web] });
      const grown = planLab(clusterOf(...objects, rival), options);
      await pods.follow(grown);
      expect(pods.problems).toEqual([
        expect.stringMatching(/^default\/rival: no server on 8080\/TCP: .*EADDRINUSE/),
        ...['172.31.255.3', 'fd00:172:31:255::3'].map(() =>
          expect.stringMatching(/^default\/rival: no server on 8053\/UDP: .*EADDRINUSE/),
        ),
      ]);
      const flow = { from: 'a', to: 'node/n2', port: 80, protocol: 'TCP' as const };
      expect((await probe(lab, flow)).answer?.pod).toBe('rival');
      await pods.follow(plan);
      expect(pods.problems).toEqual([]);
      expect((await probe(lab, flow)).verdict).toBe('denied');
    });

    if (cni === 'bridge') {
      test('the bridge hairpins nothing, as its plugin leaves it', async () => {
        const links = await inside(namespaceOf(lab, 'node/n1'), ['bridge', '-details', 'link', 'show']);
        expect(links.match(/hairpin \w+/g)).toEqual(['hairpin off', 'hairpin off']);
      });
    }
  });
}

function stateOf(plan: LabPlan, name: string): LabState {
  return {
    name,
    directory: '/nowhere',
    cni: plan.cni,
    ipFamilies: plan.families,
    lab: { pid: process.pid, startTime: '0' },
    phase: 'ready',
    processes: [],
    nodes: [...plan.nodes.values()],
    outside: plan.outside,
    pods: [...plan.pods.values()],
    messages: [],
  };
}

async function inside(netns: string, argv: readonly string[], input?: string): Promise<string> {
  return (await run(['ip', 'netns', 'exec', netns, ...argv], input === undefined ? {} : { input })).stdout;
}
