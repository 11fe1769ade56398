/** The test of the test: differences that are made on purpose, and must be found, each in its way. */
import { run } from '../../src/backends/exec.ts';
import { until } from '../cluster/until.ts';
import type { ApiService, TestCluster } from './api-objects.ts';
import { deleteCluster, putCluster } from './cluster-objects.ts';
import { configurations } from './configurations.ts';
import type { Compared, Setting } from './differential.ts';
import { compareCluster, compareNow, nextMarker } from './differential.ts';
import { localPods, nodeName, otherNodeName, remotePods } from './topology.ts';
import type { Stage } from './stage.ts';

/** Whether everything that was planted was found, and nothing before and after. */
export async function findPlanted(stage: Stage, tell: (line: string) => void): Promise<boolean> {
  const [configuration] = configurations;
  if (configuration === undefined) throw new Error('there is no configuration');
  const nodes = await stage.nodes(configuration);
  const setting: Setting = { api: stage.api, nodes, packets: 200 };
  const found = [
    await isClean('planted: nothing', setting, tell),
    await findRemovedRule(setting, tell),
    await isClean('planted: nothing any more', setting, tell),
  ];
  await nodes.down();
  const flipped = await stage.nodes(configuration, ['--masquerade-all']);
  found.push(await findOption({ ...setting, nodes: flipped }, tell));
  await flipped.down();
  return found.every(Boolean);
}

async function isClean(name: string, setting: Setting, tell: (line: string) => void): Promise<boolean> {
  const { differences } = await compareCluster(setting, plantedCluster());
  tell(`${name}: ${differences.length} differences${differences.length === 0 ? '' : ': NOT CLEAN'}`);
  return differences.length === 0;
}

/** The agent is stopped, or it would mend the rule before anybody looks; afterwards it does. */
async function findRemovedRule(setting: Setting, tell: (line: string) => void): Promise<boolean> {
  const { api, nodes } = setting;
  const [cluster, marker] = [plantedCluster(), nextMarker()];
  try {
    await putCluster(api, cluster, marker);
    const saved = await nodes.settle(cluster, marker);
    nodes.sluice.kill('SIGSTOP');
    const rule = /^-A (KUBE-SEP-\S+ -s 10\.244\.1\.11.*)$/m.exec(saved.sluice.ipv4)?.[1] ?? '';
    const dnat = saved.sluice.ipv4.split('\n').find((line) => isDnatOf(line, rule)) ?? '';
    await inNode(nodes.worlds.sluice.node, dnat.replace(/^-A/, '-D'));
    const compared = await compareNow(setting, cluster, { ...saved, sluice: await nodes.saved('sluice') });
    nodes.sluice.kill('SIGCONT');
    await until('the agent mends its rules', async () => (await nodes.saved('sluice')).ipv4.includes(dnat), {
      timeoutMs: 30_000,
    });
    return tellFound('a rule removed from Sluice', compared, ['outcome', 'rules', 'packets'], tell);
  } finally {
    nodes.sluice.kill('SIGCONT');
    await deleteCluster(api, cluster, marker);
  }
}

async function findOption(setting: Setting, tell: (line: string) => void): Promise<boolean> {
  const compared = await compareCluster(setting, plantedCluster());
  return tellFound('an option of Sluice flipped', compared, ['outcome', 'rules', 'packets'], tell);
}

function tellFound(
  name: string,
  { differences }: Compared,
  kinds: readonly string[],
  tell: (line: string) => void,
): boolean {
  const missing = kinds.filter((kind) => !differences.some((difference) => difference.kind === kind));
  const counts = kinds.map((kind) => `${kind} ${differences.filter((difference) => difference.kind === kind).length}`);
  const result = missing.length === 0 ? 'found' : `NOT FOUND by ${missing.join(', ')}`;
  tell(`planted: ${name}: ${result} (${counts.join(', ')})`);
  return missing.length === 0;
}

function isDnatOf(line: string, rule: string): boolean {
  const [chain = ''] = rule.split(' ');
  return chain !== '' && line.startsWith(`-A ${chain} `) && line.includes('-j DNAT');
}

/** One rule, as iptables-save wrote it. */
async function inNode(netns: string, rule: string): Promise<void> {
  const input = `*nat\n${rule}\nCOMMIT\n`;
  await run(['ip', 'netns', 'exec', netns, 'iptables-nft-restore', '--noflush'], { input });
}

/** One plain Service with an endpoint here and one elsewhere. */
function plantedCluster(): TestCluster {
  const name = 'planted';
  const service: ApiService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'NodePort',
      clusterIP: '10.96.150.1',
      clusterIPs: ['10.96.150.1'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ protocol: 'TCP', port: 80, nodePort: 30_080 }],
    },
  };
  const [here, there] = [localPods[0]?.addresses.ipv4 ?? '', remotePods[0]?.addresses.ipv4 ?? ''];
  return {
    seed: 0,
    cases: [
      {
        service,
        slices: [
          {
            apiVersion: 'discovery.k8s.io/v1',
            kind: 'EndpointSlice',
            metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
            addressType: 'IPv4',
            ports: [{ protocol: 'TCP', port: 8080 }],
            endpoints: [
              { addresses: [here], nodeName },
              { addresses: [there], nodeName: otherNodeName },
            ],
          },
        ],
      },
    ],
  };
}
