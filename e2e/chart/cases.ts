/** What the chart is held to: lint, good and bad values, what the API server takes, what its account may do. */
import { parseAllDocuments } from 'yaml';
import { CommandError } from '../../src/backends/exec.ts';
import type { ChartCase, ChartTools } from './chart-case.ts';
import { chartDirectory } from './chart-case.ts';

const services = ['serviceProxy.enabled=true', 'apiServer.host=192.0.2.1'] as const;

/** Values that must render into what the API server takes, and words that must or must not be in it. */
const good: readonly {
  readonly name: string;
  readonly values: readonly string[];
  readonly has?: readonly string[];
  readonly hasNot?: readonly string[];
}[] = [
  {
    name: 'the defaults',
    values: [],
    has: ['{}', 'fieldPath: status.hostIP'],
    hasNot: ['SYS_MODULE', 'privileged', 'KUBERNETES_SERVICE_HOST', 'PodMonitor'],
  },
  { name: 'Services', values: services, has: ['serviceProxy: true', 'value: "192.0.2.1"', 'value: "6443"'] },
  {
    name: 'all options',
    values: [
      ...services,
      'podMonitor.enabled=true',
      'prometheusRule.enabled=true',
      'dashboard.enabled=true',
      'kernelModules.load={br_netfilter,ip_set}',
      'image.pullSecrets[0].name=registry',
      `image.digest=sha256:${'0'.repeat(64)}`,
      'podAnnotations.a=b',
      'podLabels.c=d',
      'serviceAccount.annotations.e=f',
      'updateStrategy.rollingUpdate.maxUnavailable=25%',
      'config.ipFamilies={ipv4}',
      'config.clusterCidrs={10.244.0.0/16}',
      'config.httpAddress=192.0.2.7',
      'config.runDir=/run/other',
    ],
    has: [
      'SYS_MODULE',
      'kind: PodMonitor',
      'kind: PrometheusRule',
      'sluice.json',
      '@sha256:',
      'host: "192.0.2.7"',
      'mountPath: /run/other',
    ],
    hasNot: ['SLUICE_HTTP_ADDRESS'],
  },
  {
    name: 'cleanup',
    values: [...services, 'cleanup.enabled=true'],
    has: ['args: [cleanup, --services]'],
    hasNot: ['args: [agent]', 'livenessProbe'],
  },
  { name: 'no port', values: ['config.httpPort=0'], has: ['httpPort: 0'], hasNot: ['livenessProbe', 'containerPort'] },
  {
    name: 'replaced by hand',
    values: ['updateStrategy.type=OnDelete'],
    has: ['type: OnDelete'],
    hasNot: ['maxUnavailable'],
  },
  {
    name: 'an account of somebody else',
    values: ['serviceAccount.create=false', 'serviceAccount.name=other', 'rbac.create=false'],
    hasNot: ['kind: ClusterRole', 'kind: ServiceAccount'],
  },
];

/** Values that helm must refuse, with words that name the place. */
const bad: readonly { readonly values: readonly string[]; readonly words: string }[] = [
  { values: ['bogus=1'], words: "additional properties 'bogus' not allowed" },
  { values: ['config.bogus=1'], words: "additional properties 'bogus' not allowed" },
  { values: ['config.nodeName=worker'], words: "additional properties 'nodeName' not allowed" },
  { values: ['config.httpPort=http'], words: '/config/httpPort' },
  { values: ['config.httpPort=70000'], words: '/config/httpPort' },
  { values: ['config.ipFamilies={ipv5}'], words: '/config/ipFamilies/0' },
  { values: ['config.podStart=ajar'], words: '/config/podStart' },
  { values: ['config.resyncSeconds=1'], words: '/config/resyncSeconds' },
  { values: ['image.pullPolicy=Sometimes'], words: '/image/pullPolicy' },
  { values: ['image.digest=sha256:12'], words: '/image/digest' },
  { values: ['updateStrategy.rollingUpdate.maxSurge=1'], words: "additional properties 'maxSurge' not allowed" },
  { values: ['updateStrategy.rollingUpdate.maxUnavailable=0'], words: '/updateStrategy/rollingUpdate/maxUnavailable' },
  { values: ['serviceProxy.enabled=true'], words: 'serviceProxy.enabled needs apiServer.host' },
  { values: ['config.serviceProxy=true'], words: 'serviceProxy.enabled needs apiServer.host' },
  { values: ['podMonitor.enabled=true', 'config.httpPort=0'], words: 'config.httpPort is 0' },
];

/** By what `kubectl auth can-i` says of the agent's account. */
const rights: readonly (readonly [verb: string, resource: string, mayIt: boolean])[] = [
  ['list', 'pods', true],
  ['watch', 'networkpolicies.networking.k8s.io', true],
  ['watch', 'endpointslices.discovery.k8s.io', true],
  ['create', 'events.events.k8s.io', true],
  ['patch', 'events.events.k8s.io', false],
  ['create', 'events', false],
  ['create', 'pods', false],
  ['update', 'nodes', false],
  ['update', 'networkpolicies.networking.k8s.io', false],
  ['get', 'secrets', false],
  ['get', 'configmaps', false],
];

export const chartCases: readonly ChartCase[] = [
  {
    name: 'helm lint finds nothing',
    check: async ({ helm }) => {
      expectWords(await helm(['lint', '--strict', '--kube-version=1.36.3', chartDirectory]), ['0 chart(s) failed']);
    },
  },
  ...good.map(
    ({ name, values, has = [], hasNot = [] }): ChartCase => ({
      name: `the API server takes ${name}`,
      check: async (tools) => {
        const text = await tools.render(values);
        expectWords(text, has, hasNot);
        await expectTaken(tools, text);
      },
    }),
  ),
  ...bad.map(
    ({ values, words }): ChartCase => ({
      name: `refused: ${values.join(' ')}`,
      check: async ({ render }) => expectWords(await refusal(render(values)), [words]),
    }),
  ),
  {
    name: 'the account may read and tell, and nothing else',
    check: async ({ render, kubectl }) => {
      await kubectl(['apply', '-f', '-'], await render([]).then(rightsOf));
      for (const [verb, resource, mayIt] of rights) {
        const argv = [
          'auth',
          'can-i',
          verb,
          resource,
          '--as=system:serviceaccount:kube-system:sluice',
          '--all-namespaces',
        ];
        const answer = await kubectl(argv).catch(said);
        if (answer.trim().startsWith('yes') !== mayIt) throw new Error(`can-i ${verb} ${resource}: ${answer}`);
      }
    },
  },
];

async function expectTaken({ kubectl }: ChartTools, text: string): Promise<void> {
  const answer = await kubectl(['apply', '--dry-run=server', '-f', '-'], text);
  const taken = answer.split('\n').filter((line) => line.endsWith('(server dry run)')).length;
  const wanted = objectsOf(text).length;
  if (taken !== wanted) throw new Error(`expected ${wanted} objects to be taken, got ${taken}: ${answer}`);
}

function objectsOf(text: string): readonly object[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object: unknown = document.toJS();
    return typeof object === 'object' && object !== null ? [object] : [];
  });
}

/** The account and its role, to be applied for real. */
function rightsOf(text: string): string {
  const kinds = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding'];
  const items = objectsOf(text).filter((object) => 'kind' in object && kinds.includes(String(object.kind)));
  if (items.length !== kinds.length) throw new Error(`expected ${kinds.join(', ')}, got ${items.length} objects`);
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

function expectWords(text: string, has: readonly string[], hasNot: readonly string[] = []): void {
  for (const words of has) if (!text.includes(words)) throw new Error(`expected "${words}" in: ${text}`);
  for (const words of hasNot) if (text.includes(words)) throw new Error(`"${words}" is not expected in: ${text}`);
}

async function refusal(answer: Promise<string>): Promise<string> {
  const text = await answer.then((rendered) => `rendered: ${rendered}`, said);
  if (text.startsWith('rendered: ')) throw new Error(`expected a refusal, got ${text}`);
  return text;
}

/** What a program said when it failed. */
function said(error: unknown): string {
  if (error instanceof CommandError) return `${error.stdout}${error.stderr}`;
  throw error;
}
